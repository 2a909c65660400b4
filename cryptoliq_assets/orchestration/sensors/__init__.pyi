from .champion import champion_keeper as champion_keeper, weekly_train as weekly_train
from .monitoring import (
    daily_monitor as daily_monitor,
    failed_checks_sensor as failed_checks_sensor,
    run_failures_sensor as run_failures_sensor,
    watch_sensor as watch_sensor,
)
from .raw_files import raw_files_sensor as raw_files_sensor
