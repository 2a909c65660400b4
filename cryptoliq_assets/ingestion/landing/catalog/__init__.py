"""The catalog of received files: which versions arrived, in which order, with which dates, and their status.

Whether an accepted file is in the tables is not stored here: the fingerprints of the month files state it (`sources`). Reading
the files themselves belongs in `landing.drop_folder` and `landing.intake`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
