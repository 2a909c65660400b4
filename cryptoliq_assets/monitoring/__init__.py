"""Findings about data, models and service. Each check returns findings; `collect` gathers them for alerts and status pages.

    alerting  incidents and notifications
    data      files, feed and stored bytes
    drift     distribution drift of the model inputs
    service   prediction log and application log

A check measures and reports. It does not repair, and it does not send.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
