"""Plausibility of content: contradictions, empty columns, scale changes, outliers, renamed coins, date gaps.

Add code here for content that parses but cannot be right; each module handles one kind of problem and returns what it found.
The format of a file is validated in `ingestion.csv`; this package rejects nothing itself.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
