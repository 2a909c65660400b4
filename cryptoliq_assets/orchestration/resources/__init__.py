"""Dagster resources: what runs need from outside: the run lock, the workers of a cluster, and the logger of their progress.

Reading and writing of assets belongs in `orchestration/io_managers/`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
