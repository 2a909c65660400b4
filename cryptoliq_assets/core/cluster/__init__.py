"""The workers of a Dask scheduler, for work beyond one machine. Only this package imports dask and distributed.

Both are imported at the first connection: without `CRYPTOLIQ_DASK_ADDRESS` everything runs in this process. What a task computes belongs
to the package that submits it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
