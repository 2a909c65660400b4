"""From the bytes of a CSV file to validated rows: file type, header, records, numbers, systematic errors, row rules.

Units and derived columns belong in `ingestion.parsing`, comparisons between columns or days in `ingestion.quality`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
