from .drift_reference import (
    PREDICTIONS as PREDICTIONS,
    REFERENCE as REFERENCE,
    SCORE as SCORE,
    Reference as Reference,
    drift_features as drift_features,
    make_reference as make_reference,
)
from .inference import Champion as Champion, load_champion as load_champion, predict_arrays as predict_arrays
from .standalone import (
    FilesRejectedError as FilesRejectedError,
    metadata_path as metadata_path,
    preprocess_files as preprocess_files,
    read_model as read_model,
    read_rows as read_rows,
    snapshot_files as snapshot_files,
    train_rows as train_rows,
    write_model as write_model,
    write_rows as write_rows,
)
from .table_months import (
    ComputedMonths as ComputedMonths,
    compute_months as compute_months,
    write_computed as write_computed,
)
from .task import describe_task_mismatch as describe_task_mismatch
from .training import (
    LeakageSuspectedError as LeakageSuspectedError,
    choose_champion as choose_champion,
    fit_candidate as fit_candidate,
    rank_candidates as rank_candidates,
    save_backtest as save_backtest,
)
from .training_data import training_rows as training_rows
from .views_table import stale_view_months as stale_view_months, update_views as update_views
from .worker_months import compute_on_workers as compute_on_workers
