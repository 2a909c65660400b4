"""Statistics of the prediction log, and the application log.

The service writes these files in `serving`; here they are read.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
