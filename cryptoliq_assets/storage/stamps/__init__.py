"""Stamps: what a month file states about itself (schema, inputs, digests of its days), and how it is read.

Add what is stored in the metadata of month files. What makes a month stale is decided by `storage.parquet_store`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
