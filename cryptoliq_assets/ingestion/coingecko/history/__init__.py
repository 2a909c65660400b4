"""Download of past days: fetch charts with checkpoints, convert them to daily rows, write one file per day.

Add code here that only past days need; what the live snapshot needs as well belongs in the parent package.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
