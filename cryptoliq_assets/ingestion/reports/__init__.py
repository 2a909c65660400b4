"""Validation reports: of one file, their storage, and the report of a whole command.

What a report says is found in `ingestion.parsing` and `ingestion.quality`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
