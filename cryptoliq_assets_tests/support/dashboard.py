"""Pages of the dashboard, run by Streamlit's test harness, and what they show."""

from pathlib import Path

import pandas as pd
from streamlit.testing.v1 import AppTest

import cryptoliq_assets
from cryptoliq_assets.dashboard import load_pages

SCRIPT = Path(cryptoliq_assets.__file__).parent / "dashboard" / "main.py"
# URL path to module.
MODULES = {page.url_path or module: module for module, page in load_pages().items()}
PAGES = tuple(MODULES)


def open_page(page: str) -> AppTest:
    """Run the app and open a page."""
    test = AppTest.from_file(str(SCRIPT), default_timeout=60).run()
    return test if page == PAGES[0] else test.switch_page(f"pages/{MODULES[page]}.py").run()


def page_text(test: AppTest) -> str:
    """Return all texts of the page, one per line."""
    kinds = (test.markdown, test.caption, test.info, test.warning, test.error, test.subheader)
    return "\n".join(element.value for kind in kinds for element in kind)


def check_page(test: AppTest) -> AppTest:
    """Assert that the page rendered; error boxes of failed checks of the data are allowed."""
    assert not test.exception
    assert all(error.value.startswith("**FAIL: ") for error in test.error), page_text(test)
    return test


def metrics(test: AppTest) -> dict[str, str]:
    """Return label and value of each metric."""
    return {metric.label: metric.value for metric in test.metric}


def table_with_column(test: AppTest, name: str) -> pd.DataFrame:
    """Return the only table that has a column of this name."""
    (table,) = [frame.value for frame in test.dataframe if name in frame.value.columns]
    return table
