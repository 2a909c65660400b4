"""Tables on disk or in an object store: one Parquet file per month, with schema, fingerprint and checksum.

What the columns mean belongs in `schemas`; which months to write is decided by the callers.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
