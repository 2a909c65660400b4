"""The Streamlit dashboard: pages, components, charts, data sources.

Add pages and their components here; only this package imports Streamlit and Plotly.
Numbers do not belong here: `serving` and earlier layers compute them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
