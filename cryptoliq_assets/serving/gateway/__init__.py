"""HTTP concerns that precede the API: authentication, origins, rate and body limits, the HTTP protocol.

Add here what applies to every route. Nothing here knows what a prediction is: that belongs in `serving.api`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
