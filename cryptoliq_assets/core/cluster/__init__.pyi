from .client import CONNECT_SECONDS as CONNECT_SECONDS, Cluster as Cluster, open_cluster as open_cluster
from .errors import (
    ClusterError as ClusterError,
    TaskCancelledError as TaskCancelledError,
    explain_missing_dask as explain_missing_dask,
)
from .local import run_local_cluster as run_local_cluster
from .rows import spread_rows as spread_rows
from .running_task import (
    one_task_at_a_time as one_task_at_a_time,
    task_check as task_check,
    worker_folder as worker_folder,
    worker_name as worker_name,
    worker_threads as worker_threads,
)
