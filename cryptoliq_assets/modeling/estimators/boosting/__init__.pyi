from .on_cluster import train_on_cluster as train_on_cluster
from .tables import (
    open_table as open_table,
    require_device as require_device,
)
