"""Asset definitions, one module per table or subject.

An asset calls a function of an earlier layer and records what it returned. Checks belong in `orchestration/checks/`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
