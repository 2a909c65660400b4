"""Drift of model inputs against the champion's reference: measurement, report, page.

The reference itself is made at training, in `modeling.drift_reference`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
