from .errors import describe_failure as describe_failure, translate_database_errors as translate_database_errors
from .event_log import (
    batched_events as batched_events,
    open_instance as open_instance,
)
