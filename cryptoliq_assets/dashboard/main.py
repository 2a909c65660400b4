"""Entry script of the dashboard, run by Streamlit: page configuration and the menu, which is derived from the registry of pages.

Add nothing here for a new page; it is a module of `pages/`.
"""

from pathlib import Path

import streamlit as st

from cryptoliq_assets.dashboard.components import current_source, escape_markdown
from cryptoliq_assets.dashboard.page_registry import load_pages

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
            st.Page(_PAGES / f"{name}.py", title=page.title, icon=page.icon, url_path=page.url_path, default=place == 0)
            for place, (name, page) in enumerate(load_pages().items())
        ]
    )
    st.sidebar.caption(f"Data source: {escape_markdown(current_source().name)}.")
    menu.run()


main()
