from .run_lock import RunLock as RunLock, home_lock as home_lock
