"""Processes of the service: one, or several workers under a supervisor.

Add process management here. The application itself belongs in `serving.api`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
