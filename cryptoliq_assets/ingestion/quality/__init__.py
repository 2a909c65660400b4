"""Content that parses but cannot be right: contradictions, empty columns, changes of scale, outliers, renamed coins.

Each module judges one kind of problem and returns what it found; it rejects nothing itself.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
