"""Pages of the dashboard: one module per page, run by Streamlit.

Add a module that declares its `PAGE`; the menu follows. What several pages use belongs in `components.py` or `charts.py`.
"""

__all__: list[str] = []
