"""Imputation of accepted rows: fills short gaps, flags what it filled.

Rejecting rows belongs in `ingestion.parsing`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
