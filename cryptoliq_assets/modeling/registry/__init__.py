"""Stored models: artifacts, metadata, audit log, current version, promotion, rollback, safe loading.

Add here what changes or reads files under models/. What a model computes belongs in `modeling.estimators`, how it is
evaluated in `modeling.evaluation`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
