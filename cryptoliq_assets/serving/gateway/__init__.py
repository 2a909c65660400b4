"""What stands before the API: authentication, origins, rate and body limits, HTTP protocol.

Nothing here knows what a prediction is.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
