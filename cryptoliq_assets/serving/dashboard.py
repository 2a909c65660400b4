"""The app's entry: `cryptoliq app` runs it under Streamlit. Its pages are in `app_pages/`, in the order of the menu."""

from pathlib import Path

import streamlit as st

from cryptoliq_assets.serving.app_kit import source, text

_PAGES = Path(__file__).parent / "app_pages"


def main() -> None:
    st.set_page_config(page_title="cryptoliq", layout="wide")
    menu = st.navigation(
        [
            st.Page(_PAGES / "market.py", title="Market", icon=":material/water_drop:", default=True),
            st.Page(_PAGES / "coin.py", title="Coin", icon=":material/show_chart:"),
            st.Page(_PAGES / "what_if.py", title="What if", icon=":material/tune:"),
            st.Page(_PAGES / "upload.py", title="CSV file", icon=":material/upload_file:"),
            st.Page(_PAGES / "models.py", title="Models", icon=":material/model_training:"),
            st.Page(_PAGES / "health.py", title="Data health", icon=":material/monitor_heart:"),
        ]
    )
    st.sidebar.caption(f"cryptoliq shows {text(source().name)}.")
    menu.run()


main()
