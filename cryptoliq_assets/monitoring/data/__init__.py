"""Health of the stored data: freshness, rejected files, damaged bytes.

The health of a snapshot's values belongs in `monitoring.feed`, that of models in the modules of `monitoring`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
