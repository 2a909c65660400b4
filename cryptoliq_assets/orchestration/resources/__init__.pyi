from .progress_logger import (
    PROGRESS_LOGGER as PROGRESS_LOGGER,
    progress_logger as progress_logger,
    show_progress as show_progress,
)
from .run_lock import RunLock as RunLock, hold_locks as hold_locks, hold_run_lock as hold_run_lock
from .workers import Workers as Workers
