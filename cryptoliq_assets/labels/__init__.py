"""The liquidity score of a row, from a registry of formulas, and the target of a forecast.

A formula is a constant function of one row. Anything that looks at other rows is a feature.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
