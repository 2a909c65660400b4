"""Pages of the dashboard: one module per page, run by Streamlit.

Add a page here and to the menu in `main.py`. What several pages use belongs in `components.py` or `charts.py`.
"""

__all__: list[str] = []
