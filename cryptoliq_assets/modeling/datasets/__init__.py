"""Training rows: features joined to labels, augmentation, splits, size buckets.

Nothing here fits anything.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
