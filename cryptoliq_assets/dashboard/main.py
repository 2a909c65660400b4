"""Entry script of the dashboard, run by Streamlit: page configuration and the menu.

Add a page to the menu here, in menu order; its content belongs in a module of `pages/`.
"""

from pathlib import Path

import streamlit as st

from cryptoliq_assets.dashboard.components import current_source, escape_markdown

_ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" width="24" height="24">'
    '<path fill="#0072b2" d="M12 2 C8 7 5 11 5 15 a7 7 0 0 0 14 0 C19 11 16 7 12 2 Z"/></svg>'
)
_PAGES = Path(__file__).parent / "pages"


def main() -> None:
    """Configure the window, build the menu and run the selected page."""
    # Without an own icon the page requests the menu's icon from the internet.
    st.set_page_config(page_title="cryptoliq", page_icon=_ICON, layout="wide")
    menu = st.navigation(
        [
            st.Page(_PAGES / "market.py", title="Market", icon=":material/water_drop:", default=True),
            st.Page(_PAGES / "coin.py", title="Coin", icon=":material/show_chart:"),
            st.Page(_PAGES / "what_if.py", title="What if", icon=":material/tune:"),
            st.Page(_PAGES / "upload.py", title="CSV file", icon=":material/upload_file:"),
            st.Page(_PAGES / "models.py", title="Models", icon=":material/model_training:"),
            st.Page(_PAGES / "data_health.py", url_path="health", title="Data health", icon=":material/monitor_heart:"),
        ]
    )
    st.sidebar.caption(f"Data source: {escape_markdown(current_source().name)}.")
    menu.run()


main()
