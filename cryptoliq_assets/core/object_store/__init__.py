"""Object stores (s3://…, gs://…): clients whose calls are limited in time and in attempts, and the errors of a store.

Add here what only object stores need. What they have in common with local folders belongs in `core.locations`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
