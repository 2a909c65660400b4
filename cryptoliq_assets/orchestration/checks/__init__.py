"""Asset checks, one module per asset or subject, registered with `@asset_check`.

Write a check as a function (settings, store, months) -> CheckOutcome in the module of its asset; every public function of such a
module is a check, and helpers start with _. What the monitor computes belongs in `monitoring`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
