"""Predictions for CSV files of any size, row by row, with bounded memory.

It reads bytes and returns bytes; commands and routes around it belong in `cli` and `serving.api`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
