"""Parsing and unit inference of real market data."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cryptoliq_assets.ingestion.parsing import RawFile
from cryptoliq_assets_tests.support.bulk_files import check_bulk_parsing
from cryptoliq_assets_tests.support.csv_snapshots import HEADER, TODAY, parse
from cryptoliq_assets_tests.support.market_files import NAME as CASE_NAME, parse as parse_both_ways
from cryptoliq_assets_tests.support.unit_inference import find_unit


@pytest.mark.realdata
@pytest.mark.parametrize(("day", "empty"), [("2022-03-16", 3), ("2022-03-17", 4)])
def test_coingecko_files_of_2022_contain_fractions(real_data, day: str, empty: int) -> None:
    name = f"coin_gecko_{day}.csv"
    parsed = parse((real_data / "coingecko_2022" / name).read_bytes(), name=name)
    report = parsed.report
    assert (report["rows_kept"], report["rows_refused"], report["issues"]) == (500, {}, [])
    assert (report["unit"], report["unit_certain"]) == ("fraction", True)
    assert report["derived_columns"] == ["liquidity_ratio", "price_change_24h"]
    assert report["empty_cells"]["24h_volume"] == empty
    assert set(report["shared_symbols"]) == {"RUNE", "TIME", "FEG"}
    assert parsed.rows["1h"][0].as_py() == pytest.approx({"2022-03-16": 2.2, "2022-03-17": 0.1}[day])


@pytest.mark.realdata
def test_files_of_other_sources_are_rejected_under_any_name(real_data) -> None:
    expected = {
        "coingecko_history_hybrix.csv": ("missing columns: coin, symbol, 1h", "price is '-"),
        "coingecko_history_x8-project.csv": ("missing columns: coin, symbol, 1h", "price is '-0.0952"),
        "coinmarketcap_export_0x.csv": (
            "missing columns: coin, symbol, price",
            "the header has: 'Coin', 'Date', 'Open*'",
        ),
        "prices_dmy_dates.csv": (
            "missing columns: coin, price, 1h",
            "date: systematic error in 199 cells: another form of date",
        ),
        "prices_mdy_dates.csv": (
            "missing columns: coin, symbol, price",
            "date: systematic error in 199 cells: another form of date",
        ),
    }
    reports, rejections = [], set()
    for path in sorted((real_data / "dirty").iterdir()):
        content = path.read_bytes()
        assert parse(content, name=path.name).report["refusal_code"] == "bad_name"
        report = parse(content).report
        assert (report["refusal_code"], report["rows_kept"]) == ("missing_columns", 0)
        assert report["rows_read"] == sum(report["rows_refused"].values()) > 100
        for message in expected[path.name]:
            assert any(message in issue for issue in report["issues"]), (path.name, message)
        reports.append(tuple(report["issues"]))
        rejections |= {report["refusal"]}
    # The reason alone is different for each file.
    assert len(rejections) == len(expected)
    assert len(set(reports)) == len(expected)


@pytest.mark.realdata
def test_the_errors_of_the_2021_panel_are_counted(real_data) -> None:
    panel = pd.read_parquet(real_data / "coingecko_daily_2021.parquet").rename(columns={"volume_24h": "24h_volume"})
    november = panel[panel["date"].between("2021-11-11", "2021-11-24")].assign(**{"1h": np.nan})
    content = november[HEADER.split(",")].to_csv(index=False).encode()
    report = parse(content, name="coingecko_20211111.csv").report
    assert report["rows_refused"] == {"negative_value": 18}
    assert report["unit"] == "fraction"
    assert report["rows_kept"] == len(november) - 18
    valid = november[november["price"] >= 0]
    assert report["unknown_caps"] == int((valid["mkt_cap"] == 0).sum())
    assert report["zero_volumes"] == int((valid["24h_volume"] == 0).sum())


@pytest.mark.realdata
def test_bulk_parsing_equals_single_parsing_of_real_files(real_data: Path) -> None:
    files = [RawFile(path.name, path.read_bytes(), TODAY) for path in sorted(real_data.glob("*/*.csv"))]
    columns = ["coin", "symbol", "price", "1h", "24h", "7d", "24h_volume", "mkt_cap", "date"]
    panel = pd.read_parquet(real_data / "coingecko_daily_2021.parquet").rename(columns={"volume_24h": "24h_volume"})
    for day, rows in list(panel.assign(**{"1h": float("nan")}).groupby("date"))[::9]:
        content = rows[columns].to_csv(index=False).encode()
        files.append(RawFile(f"coingecko_{day:%Y%m%d}.csv", content, TODAY))
    check_bulk_parsing(files)


@pytest.fixture(scope="module")
def panel(real_data) -> list[pd.DataFrame]:
    """Return the days of 2021 that have changes: all but the first."""
    rows = pd.read_parquet(real_data / "coingecko_daily_2021.parquet", columns=["coin", "date", "price", "24h", "7d"])
    return [day for _, day in rows.groupby("date")][1:]


def day_unit(day: pd.DataFrame, scale: float) -> str:
    changes = {name: day[name].to_numpy() * scale for name in ("24h", "7d")}
    return find_unit(changes, day["price"].to_numpy()).unit


@pytest.mark.realdata
def test_both_units_are_inferred_for_every_day_of_2021(panel) -> None:
    assert {day_unit(day, 100) for day in panel} == {"percent"}
    assert {day_unit(day, 1) for day in panel} == {"fraction"}


@pytest.mark.realdata
def test_both_units_are_inferred_from_pegged_coins_alone(panel) -> None:
    pegs = [day[day["price"].between(0.98, 1.02)] for day in panel]
    assert {day_unit(day, 100) for day in pegs} == {"percent"}
    assert {day_unit(day, 1) for day in pegs} == {"fraction"}


@pytest.mark.realdata
@pytest.mark.parametrize(("coins", "max_error_rate"), [(3, 0.01), (10, 0.0)])
def test_the_error_rate_for_files_of_few_coins_is_bounded(panel, coins: int, max_error_rate: float) -> None:
    random = np.random.default_rng(7)
    picked = [day.iloc[random.choice(len(day), coins, replace=False)] for day in panel[7:]]
    wrong = sum((day_unit(day, 100) != "percent") + (day_unit(day, 1) != "fraction") for day in picked)
    assert wrong <= max_error_rate * 2 * len(picked)


@pytest.mark.realdata
def test_the_shared_cases_have_the_documented_result(real_data: Path) -> None:
    expected = {
        "all_prices_empty": "empty_columns",
        "no_changes": None,
        "tiny_cap": None,
        "price_change_24h_not_usd": "contradiction",
        "liquidity_ratio_contradicts": "contradiction",
        "html_page": "wrong_type",
    }
    folder = real_data.parent / "cases"
    if not folder.is_dir():
        pytest.skip("no folder of cases next to the real data")
    reports = {
        path.name.removesuffix(f"_{CASE_NAME}"): parse_both_ways(path.read_bytes()).report
        for path in folder.glob("*.csv")
    }
    assert {name: report["refusal_code"] for name, report in reports.items() if name in expected} == expected
    assert reports["tiny_cap"]["rows_refused"] == {"implausible_number": 1}
    assert "line 4: mkt_cap is '5e-324'" in reports["tiny_cap"]["issues"][0]
