"""Content of a file: empty columns, other scales, and columns that no market can have."""

import datetime as dt
from pathlib import Path

import pytest

from cryptoliq_assets.ingestion.parsing import RawFile, parse_snapshots
from cryptoliq_assets.simulation.market import simulate_market, snapshot_files
from cryptoliq_assets_tests.support.csv_snapshots import FIRST, TODAY
from cryptoliq_assets_tests.support.market_files import Row, changed, content, market, parse, with_columns
from cryptoliq_assets_tests.support.markets import Home


def test_a_valid_file_has_no_issue() -> None:
    report = parse(market()).report
    assert (report["accepted"], report["issues"], report["empty_shares"]) == (True, [], {})
    assert report["rows_with_changes"] == 40


@pytest.mark.parametrize(
    ("columns", "value"),
    [
        (["price"], ""),
        (["price"], "0"),
        (["price"], "NaN"),
        (["24h_volume"], ""),
        (["price", "24h_volume"], ""),
        (["coin"], ""),
    ],
)
def test_empty_critical_columns_reject_the_file(columns, value) -> None:
    report = parse([row | dict.fromkeys(columns, value) for row in market()]).report
    assert (report["refusal_code"], report["rows_kept"]) == ("empty_columns", 0)
    for name in columns:
        zero = " or 0" if name == "price" else ""
        assert f"{name} is empty{zero} in 100% of the rows (40 of 40)" in report["refusal"]


def test_rows_with_any_critical_cell_empty_count_together() -> None:
    rows = [row | {"price" if n % 3 else "24h_volume": "" if n < 24 else "7"} for n, row in enumerate(market())]
    report = parse(rows).report
    assert report["refusal_code"] == "empty_columns"
    assert "24 of 40 rows (more than 50%)" in report["refusal"]
    assert parse(rows, max_rejected_fraction=0.7).report["accepted"]


def test_half_of_the_prices_empty_is_only_an_issue() -> None:
    report = parse(changed("price", lambda n, cell: cell if n % 2 else "")).report
    assert report["accepted"]
    assert "price is empty or 0 in 50% of the rows (20 of 40)" in report["issues"]


@pytest.mark.parametrize("column", ["symbol", "1h", "24h", "7d", "mkt_cap"])
def test_a_column_above_the_max_empty_fraction_is_an_issue(column: str) -> None:
    def issues(empty: int, **options: object) -> list[str]:
        rows = changed(column, lambda n, cell: "" if n < empty else cell)
        return [issue for issue in parse(rows, **options).report["issues"] if issue.startswith(f"{column} is empty")]

    assert issues(8) == []
    assert len(issues(9)) == 1
    assert issues(9, max_empty_fraction=0.3) == []


def test_market_caps_of_0_count_as_empty() -> None:
    report = parse(changed("mkt_cap", lambda n, cell: "0")).report
    assert "mkt_cap is empty or 0 in 100% of the rows (40 of 40)" in report["issues"]
    assert report["empty_shares"] == {"mkt_cap": 1.0}


def test_a_file_without_changes_is_accepted_with_an_issue() -> None:
    report = parse([row | {"1h": "", "24h": "", "7d": ""} for row in market()]).report
    assert (report["accepted"], report["rows_with_changes"]) == (True, 0)
    [issue] = [issue for issue in report["issues"] if "no row can train or score" in issue]
    assert "forecast with its own volatility" in issue
    partly = parse([row | {"24h" if n % 2 else "7d": ""} for n, row in enumerate(market())]).report
    assert any("no row has both 24h and 7d" in issue for issue in partly["issues"])


def test_a_column_emptier_than_on_previous_days_is_an_issue(tmp_path: Path) -> None:
    home = Home.at(tmp_path, ingestion__max_empty_fraction=0.6)
    reports = []
    for day, empty in ((1, 4), (2, 4), (3, 12), (4, 13), (5, 30)):
        rows = changed("mkt_cap", lambda n, cell, empty=empty: "" if n < empty else cell)
        home.drop(f"coingecko_202203{day:02}.csv", content([row | {"date": f"2022-03-{day:02}"} for row in rows]))
        if day != 2:
            # Days 2 and 3 are ingested in one run, the others in one run each.
            home.look()
            reports += home.intake.ingest(["2022-03"]).reports
    assert [len([issue for issue in report["issues"] if "mkt_cap" in issue]) for report in reports] == [0, 0, 0, 1, 1]
    assert (
        "mkt_cap is empty in 32% of the rows; in the 3 snapshots of the 7 days before, in 10%"
        in reports[3]["issues"][0]
    )
    assert "mkt_cap is empty or 0 in 75% of the rows (30 of 40)" in reports[4]["issues"]


@pytest.mark.parametrize(
    "rows",
    [
        changed("mkt_cap", lambda n, cell: str(float(cell) / 1e6)),
        changed("24h_volume", lambda n, cell: str(float(cell) / 1e6)),
        changed("24h_volume", lambda n, cell: str(n / 39)),
        changed("price", lambda n, cell: str(n / 39)),
        changed("24h_volume", lambda n, cell: str(float(cell) ** 0.01)),
        [row | {"24h_volume": str(float(row["24h_volume"]) / float(row["price"]))} for row in market()],
        [row | {"mkt_cap": str(float(row["mkt_cap"]) / float(row["price"]))} for row in market()],
        with_columns(circulating_supply=lambda row: 1e6 * float(row["mkt_cap"]) / float(row["price"])),
        with_columns(high_24h=lambda row: 100 * float(row["price"]), low_24h=lambda row: 90 * float(row["price"])),
    ],
    ids=[
        "caps in millions",
        "volumes in millions",
        "volumes 0 to 1",
        "prices 0 to 1",
        "logs of volumes",
        "volumes in coins",
        "caps in coins",
        "supply",
        "high and low",
    ],
)
def test_numbers_on_another_scale_reject_the_file(rows: list[Row]) -> None:
    report = parse(rows).report
    assert report["refusal_code"] == "implausible_scale"
    assert "in USD" in report["refusal"]


def test_with_fraction_1_values_never_reject_a_file() -> None:
    for rows in (
        changed("price", lambda n, cell: ""),
        with_columns(liquidity_ratio=lambda row: 0.9),
        changed("price", lambda n, cell: str(n / 39)),
    ):
        assert parse(rows, max_rejected_fraction=1.0).report["accepted"]


@pytest.mark.parametrize("column", ["price", "1h", "24h", "7d", "24h_volume", "mkt_cap"])
def test_a_constant_column_is_an_issue(column: str) -> None:
    value = {"24h_volume": "2.5e7", "mkt_cap": "2.5e9"}.get(column, "2.5")
    report = parse(changed(column, lambda n, cell: value)).report
    assert report["accepted"]
    assert [issue for issue in report["issues"] if f"{column} is 2.5" in issue and "in all of the 40 rows" in issue]


@pytest.mark.parametrize(("prefix", "absent"), [("", "negative"), ("-", "positive")])
def test_changes_of_one_sign_are_an_issue(prefix: str, absent: str) -> None:
    rows = changed("24h", lambda n, cell: prefix + cell.lstrip("-"), rows=120)
    assert [issue for issue in parse(rows).report["issues"] if f"24h has no {absent} value in 120 rows" in issue]


def test_a_change_below_minus_100_percent_is_an_issue() -> None:
    rows = changed("24h", lambda n, cell: "-140" if n == 7 else cell)
    report = parse(rows).report
    assert report["rows_kept"] == 40
    assert [issue for issue in report["issues"] if "24h is below -100 % in 1 of 40 rows, down to -140" in issue]


def test_simulated_files_have_no_issue() -> None:
    simulated = snapshot_files(simulate_market(coins=60, days=30, end=dt.date(2025, 3, 10), seed=5))
    files = [RawFile(name, raw, TODAY) for name, raw in simulated]
    assert [snapshot.report["issues"] for snapshot in parse_snapshots(files, first_date=FIRST)] == [[]] * 30
