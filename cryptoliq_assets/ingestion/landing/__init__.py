"""Files between arrival and acceptance: drop folder, catalog, intake, archive, quarantine, rows by month.

Add code here that moves, records or selects files. What is in a file is validated by `ingestion.parsing` and
`ingestion.quality`; reports are written by `ingestion.reports`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
