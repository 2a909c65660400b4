"""Sensors and schedules, one module per subject.

Add a shell that reads state and requests runs. The decision itself belongs in a pure function of an earlier layer.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
