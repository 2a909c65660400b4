"""Health of the data: freshness, feed metrics and diagnosis, files, stored bytes.

Health of models belongs in the modules of `monitoring`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
