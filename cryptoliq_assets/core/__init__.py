"""Building blocks without domain knowledge: settings, calendar, locations, safe file access, statistics, rendering.

Add a module here when at least two layers need it and it would make sense in another project.
Anything that knows a table, a feature or a model belongs in a later layer.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
