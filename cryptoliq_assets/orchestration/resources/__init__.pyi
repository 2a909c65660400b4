from .run_lock import RunLock as RunLock, hold_run_lock as hold_run_lock
