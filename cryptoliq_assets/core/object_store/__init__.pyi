from .clients import client_options as client_options
from .errors import CallLimits as CallLimits, StoreUnavailableError as StoreUnavailableError
