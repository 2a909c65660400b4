"""Sensors and schedules. Decisions are made in pure functions of earlier layers where they can be."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
