"""From validated rows to accepted ones: units, derived columns, the report about a file; one file or many at once.

Comparison with other days belongs in `ingestion.quality`, moving files in `ingestion.landing`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
