"""Validation reports: about one file, their storage, and about all files of a command.

The content of a report is determined in `ingestion.parsing` and `ingestion.quality`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
