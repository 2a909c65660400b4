"""The model card: facts, their rendering as a page, and its files.

Metadata of a stored model belong in `modeling.registry`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
