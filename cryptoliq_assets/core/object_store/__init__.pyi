from .activity import (
    record_call as record_call,
    running_calls as running_calls,
    seconds_since_answer as seconds_since_answer,
)
from .clients import client_options as client_options
from .errors import CallLimits as CallLimits, StoreUnavailableError as StoreUnavailableError
from .listings import cache_listings as cache_listings, cached_contents as cached_contents
from .probe import explain_unusable_store as explain_unusable_store
