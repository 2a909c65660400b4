"""Dagster's instance of a data directory: its event log, and user-readable errors of its database and its runs.

What runs on the instance belongs in `orchestration.runner`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
