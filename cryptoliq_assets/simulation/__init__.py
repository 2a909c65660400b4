"""Synthetic markets with the shape of real snapshots, for demos, tests and benchmarks.

The pipeline does not import this package.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
