"""Page CSV file: uploads, rejected rows, size limit."""

import pytest
from streamlit.testing.v1 import AppTest

from cryptoliq_assets_tests.support.dashboard import check_page, metrics, open_page

HEADER = "coin,symbol,price,1h,24h,7d,24h_volume,mkt_cap,date\n"


def upload_rows(content: str) -> AppTest:
    """Upload a CSV file on the page."""
    test = check_page(open_page("upload"))
    return test.file_uploader(key="csv").set_value(("rows.csv", content.encode(), "text/csv")).run()


@pytest.mark.parametrize("where", ["home", "service"])
def test_rejected_row_of_a_file_is_listed_by_line(where, app_environment, trained_home, service):
    app_environment(**({"home": trained_home.path} if where == "home" else {"url": service.url, "key": service.key}))
    good = "Bitcoin,BTC,100,1,1.5,3,2e9,1e11,2025-07-31\n"
    test = check_page(
        upload_rows(f"{HEADER}{good}\nEthereum,ETH,1,1,1,1,1,1,yesterday\nNew,NEW,,1,1,1,1,1,2025-07-31\n{good}")
    )
    assert metrics(test) == {"Rows": "4", "Forecast": "2", "With history": "2", "Rejected": "2"}
    assert "1h, 24h and 7d were read as percent." in [element.value for element in test.caption]
    (table,) = (element.value for element in test.table)
    # The empty line is no row, but it counts as a line.
    assert table[["Line", "Coin"]].values.tolist() == [[4, "Ethereum"], [5, "New"]]
    assert table["Reason"].str.startswith("line").sum() == 0
    assert table["Reason"].tolist()[0].startswith("date is 'yesterday'")


def test_upload_limit_is_that_of_the_service(app_environment, trained_home, service, monkeypatch):
    monkeypatch.setenv("CRYPTOLIQ_API__MAX_BODY_MIB", "32")
    app_environment(url=service.url, key=service.key)
    assert check_page(open_page("upload")).file_uploader(key="csv").proto.max_upload_size_mb == 32
    app_environment(home=trained_home.path)
    assert check_page(open_page("upload")).file_uploader(key="csv").proto.max_upload_size_mb > 32
