from .drift_reference import (
    PREDICTIONS as PREDICTIONS,
    REFERENCE as REFERENCE,
    SCORE as SCORE,
    Reference as Reference,
    make_reference as make_reference,
    measured_features as measured_features,
)
from .inference import Champion as Champion, load_champion as load_champion, predict_arrays as predict_arrays
from .standalone import (
    FilesRefused as FilesRefused,
    described_path as described_path,
    preprocess_files as preprocess_files,
    read_model as read_model,
    read_rows as read_rows,
    snapshot_files as snapshot_files,
    train_rows as train_rows,
    write_model as write_model,
    write_rows as write_rows,
)
from .task import other_task as other_task
from .training import (
    LeakageSuspected as LeakageSuspected,
    choose_champion as choose_champion,
    fit_candidate as fit_candidate,
    rank_candidates as rank_candidates,
    save_backtest as save_backtest,
    training_rows as training_rows,
)
