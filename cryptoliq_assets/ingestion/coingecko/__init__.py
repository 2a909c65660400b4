"""Client of the CoinGecko API: requests, retries, rate limits, history with checkpoints, export as CSV files.

Add code here when it requests data from CoinGecko or turns responses into contract files.
Fetched data enters through the drop folder like any other file; nothing here writes tables.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
