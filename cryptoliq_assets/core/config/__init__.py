"""Settings: one model per section, read from the environment and from `.env` in the data directory.

Add a setting to the section that it belongs to, with its unit and a description. Nothing else reads the environment.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
