"""Feed metrics, and the diagnosis of a snapshot's feed from them.

Add a metric, or a rule that reads metrics and reports a fault. Reading settings of other areas, alerts and files that
were rejected do not belong here.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
