from .champion import champion_sensor as champion_sensor, weekly_train as weekly_train
from .monitoring import (
    daily_monitor as daily_monitor,
    failed_checks_sensor as failed_checks_sensor,
    health_sensor as health_sensor,
    run_failures_sensor as run_failures_sensor,
)
from .raw_files import raw_files_sensor as raw_files_sensor
