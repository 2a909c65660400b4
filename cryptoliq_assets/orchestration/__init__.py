"""The project in Dagster: assets, checks, sensors, schedules, jobs, I/O managers.

Add thin shells: an asset or check calls a function of an earlier layer and records its result. Computation belongs there.
"""

import warnings

import dagster as dg
import lazy_loader

# Partitioned checks, backfill policies and partition mappings with ends are marked beta or preview in Dagster 1.13.
# The design depends on them, and the pinned version is tested.
for _category in (dg.BetaWarning, dg.PreviewWarning):
    warnings.filterwarnings("ignore", category=_category)

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
