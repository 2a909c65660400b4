"""Outliers of single coins: the definition, and the compiled loops behind it.

Changes of all coins together belong in `ingestion.quality.scale_changes` and the monitor.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
