"""Files between arrival and acceptance: drop folder, catalog, intake, archive, quarantine, reports.

What is in a file is judged by `ingestion.parsing` and `ingestion.quality`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
