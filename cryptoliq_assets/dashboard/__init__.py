"""The Streamlit app: pages, components, charts, and the sources of their numbers.

The only package that imports Streamlit or Plotly. Numbers are computed in `serving` and below.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
