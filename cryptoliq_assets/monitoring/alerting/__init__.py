"""Incidents: opening, closing, silencing and notification.

What is wrong is decided by the checks; here it is only recorded and sent.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
