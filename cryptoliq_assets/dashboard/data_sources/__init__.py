"""Data sources of the dashboard: a data directory on this machine, or a service over HTTP.

Add a source as a module with the methods of `base.Source`. Computation of the values belongs in `serving`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
