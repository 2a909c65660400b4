"""Files that are useless, contradict themselves, have another scale or are not CSV."""

import bz2
import datetime as dt
import gzip
import io
import lzma
import pickle
import random
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings, strategies as st
from pyarrow import feather, parquet

from cryptoliq_assets.ingestion.csv.total_rows import is_total_name
from cryptoliq_assets.ingestion.parsing import ParsedSnapshot, RawFile, parse_snapshot, parse_snapshots
from cryptoliq_assets.simulation.market import simulate_market, snapshot_files
from cryptoliq_assets_tests.support.markets import Home

FIRST, TODAY = dt.date(2013, 1, 1), dt.date(2026, 1, 1)
NAME = "coingecko_20250310.csv"
HEADER = ["coin", "symbol", "price", "1h", "24h", "7d", "24h_volume", "mkt_cap", "date"]
Row = dict[str, str]


def market(rows: int = 40, *, seed: int = 3) -> list[Row]:
    """Make a market with prices over six decades, in which half of the coins fall."""
    generator = random.Random(seed)
    rows_made: list[Row] = []
    for n in range(rows):
        cap = 10 ** generator.uniform(6, 11)
        cells = (10 ** generator.uniform(-3, 3), generator.gauss(0, 1), (1, -1)[n % 2] * generator.uniform(1.5, 9))
        numbers = [*(f"{cell:.6g}" for cell in cells), f"{generator.gauss(0, 12):.4f}"]
        numbers += [f"{cap * 10 ** generator.gauss(-1.6, 0.4):.2f}", f"{cap:.2f}"]
        rows_made.append(dict(zip(HEADER, [f"Coin {n}", f"C{n}", *numbers, "2025-03-10"], strict=True)))
    return rows_made


def content(rows: list[Row]) -> bytes:
    lines = [list(rows[0]), *([f'"{cell}"' if "," in cell else cell for cell in row.values()] for row in rows)]
    return "".join(",".join(cells) + "\n" for cells in lines).encode()


def parse(rows: list[Row] | bytes, **options: object) -> ParsedSnapshot:
    """Parse a file alone, and check that the result is the same together with ordinary files."""
    raw = rows if isinstance(rows, bytes) else content(rows)
    single = parse_snapshot(raw, name=NAME, today=TODAY, first_date=FIRST, **options)
    files = [RawFile(NAME, each, TODAY) for each in (content(market(seed=8)), raw, content(market(seed=9)))]
    grouped = parse_snapshots(files, first_date=FIRST, **options)[1]
    assert grouped.report == single.report
    assert (grouped.rows is None) == (single.rows is None)
    assert grouped.rows is None or grouped.rows.equals(single.rows)
    return single


def changed(column: str, value: Callable[[int, str], str], *, rows: int = 40) -> list[Row]:
    return [row | {column: value(n, row[column])} for n, row in enumerate(market(rows))]


def with_columns(**columns: Callable[[Row], float | str]) -> list[Row]:
    return [row | {name: str(value(row)) for name, value in columns.items()} for row in market()]


def price_change(row: Row) -> float:
    return float(row["price"]) - float(row["price"]) / (1 + float(row["24h"]) / 100)


def ratio(row: Row) -> float:
    return float(row["24h_volume"]) / float(row["mkt_cap"])


def test_a_valid_file_has_no_issue() -> None:
    report = parse(market()).report
    assert (report["accepted"], report["issues"], report["empty_shares"]) == (True, [], {})
    assert report["rows_with_changes"] == 40


# Empty columns


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
            # Days 2 and 3 come in one run, the others each in their own.
            home.look()
            reports += home.intake.ingest(["2022-03"]).reports
    assert [len([issue for issue in report["issues"] if "mkt_cap" in issue]) for report in reports] == [0, 0, 0, 1, 1]
    assert (
        "mkt_cap is empty in 32% of the rows; in the 3 snapshots of the 7 days before, in 10%"
        in reports[3]["issues"][0]
    )
    assert "mkt_cap is empty or 0 in 75% of the rows (30 of 40)" in reports[4]["issues"]


# Contradictions within a file


def test_consistent_stated_values_are_used() -> None:
    parsed = parse(with_columns(liquidity_ratio=lambda row: ratio(row) * 1.009, price_change_24h=price_change))
    assert parsed.report["contradicted_cells"] == parsed.report["derived_cells"] == {}
    assert parsed.rows["liquidity_ratio"][0].as_py() == ratio(market()[0]) * 1.009


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("price_change_24h", lambda row: row["24h"]),
        ("price_change_24h", lambda row: 3 * price_change(row)),
        ("price_change_24h", lambda row: -price_change(row)),
        ("liquidity_ratio", lambda row: 0.9),
        ("liquidity_ratio", lambda row: 1 / ratio(row)),
        ("liquidity_ratio", lambda row: 100 * ratio(row)),
    ],
)
def test_a_contradicting_column_rejects_the_file_with_examples(column, value) -> None:
    rows = with_columns(**{column: value})
    report = parse(rows).report
    assert report["refusal_code"] == "contradiction"
    assert report["refusal"].count("states") == report["refusal"].count("(derived ") == 3
    derived = {"liquidity_ratio": ratio, "price_change_24h": price_change}[column]
    assert f"{float(rows[0][column]):.6g} (derived {derived(rows[0]):.6g})" in report["refusal"]


def test_some_contradicting_values_are_derived_and_counted() -> None:
    rows = with_columns(liquidity_ratio=ratio, price_change_24h=price_change)
    for row in rows[:15]:
        row["liquidity_ratio"] = "37.8"
    parsed = parse(rows)
    assert parsed.report["contradicted_cells"] == parsed.report["derived_cells"] == {"liquidity_ratio": 15}
    assert parsed.rows["liquidity_ratio"].to_pylist() == pytest.approx([ratio(row) for row in rows])
    [issue] = parsed.report["issues"]
    assert "in 15 of 40 rows" in issue
    assert "states 37.8" in issue


def test_a_rounded_column_does_not_reject_the_file() -> None:
    rows = with_columns(
        liquidity_ratio=lambda row: round(ratio(row), 2), price_change_24h=lambda row: round(price_change(row), 2)
    )
    report = parse(rows).report
    assert report["accepted"]
    assert report["contradicted_cells"]["liquidity_ratio"] > 20


def test_a_constant_factor_is_reported() -> None:
    assert (
        "(all by a factor of 1e-06)"
        in parse(with_columns(liquidity_ratio=lambda row: ratio(row) / 1e6)).report["refusal"]
    )


# Scales


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


# Columns that no market can have


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


# Total rows


@pytest.mark.parametrize(
    "name",
    [
        "Total",
        "SUM",
        " all ",
        "Total market",
        "TOTAL:",
        "Grand Total",
        "Market total",
        "\u03a3",
        "Total (40 coins)",
        "Total USD",
        "TOTAL 2025-03-10",
        "Insgesamt",
    ],
)
def test_a_row_with_the_total_of_the_others_is_rejected(name: str) -> None:
    rows = market()
    total = sum(float(row["24h_volume"]) for row in rows)
    parsed = parse([*rows, rows[0] | {"coin": name, "24h_volume": f"{total * 0.992:.2f}"}])
    assert (parsed.report["rows_refused"], parsed.report["rows_kept"]) == ({"total_row": 1}, 40)
    assert "the sum of the other rows of its date" in parsed.report["issues"][0]


def test_a_coin_named_total_is_accepted() -> None:
    rows = market()
    total = sum(float(row["24h_volume"]) for row in rows)
    for name, volume in (("Total", 0.9 * total), ("Totality", total), ("Allianz", total)):
        assert parse([*rows, rows[0] | {"coin": name, "24h_volume": f"{volume:.2f}"}]).report["rows_kept"] == 41


@given(st.text(max_size=12))
def test_a_name_without_a_total_word_is_no_total(name: str) -> None:
    if not any(
        word in name.casefold()
        for word in ("total", "sum", "all", "aggregate", "gesamt", "\u03c3", "\u2211", "итого", "всего", "合计", "总计")
    ):
        assert not is_total_name(name)


# Wrong file types


def _saved(write: Callable[[io.BytesIO], object]) -> bytes:
    buffer = io.BytesIO()
    write(buffer)
    return buffer.getvalue()


def _zipped(name: str) -> bytes:
    def write(buffer: io.BytesIO) -> None:
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr(name, content(market()))

    return _saved(write)


TABLE = pa.table({"coin": ["Bitcoin"] * 3, "price": [1.0, 2.0, 3.0]})
OTHER_TYPES = {
    "an HTML page": b"\n<!DOCTYPE html>\n<html><body>Error 1015</body></html>",
    "an HTML page behind a comment": b"\xef\xbb\xbf<!-- " + b"x" * 9000 + b" -->\n<HTML lang=en>",
    "an HTML page of one element": b'<a href="/login">moved</a>',
    "an XML document": b'\xef\xbb\xbf<?xml version="1.0"?><error>429</error>',
    "a JSON document": b'[{"id": "bitcoin", "current_price": 1}]',
    "a gzip file": gzip.compress(content(market())),
    "a bzip2 file": bz2.compress(content(market())),
    "an xz file": lzma.compress(content(market())),
    "a Zstandard (zstd) file": pa.compress(content(market()), codec="zstd", asbytes=True),
    "a zip archive": _zipped("coins.csv"),
    "an Excel workbook (xlsx)": _zipped("xl/workbook.xml"),
    "a Parquet file": _saved(lambda buffer: parquet.write_table(TABLE, buffer)),
    "an Arrow (Feather) file": _saved(lambda buffer: feather.write_feather(TABLE, buffer)),
    "a NumPy array (npy)": _saved(lambda buffer: np.save(buffer, np.arange(3.0))),
    "a Python pickle": pickle.dumps({"coin": "Bitcoin"}),
    "a PDF document": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
    "an old Office file": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(64),
    "a SQLite database": b"SQLite format 3\0" + bytes(84),
    "a 7z archive": b"7z\xbc\xaf\x27\x1c\0\4",
    "a Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
}


@pytest.mark.parametrize("kind", OTHER_TYPES)
def test_another_file_type_is_rejected_with_a_remedy(kind: str) -> None:
    report = parse(OTHER_TYPES[kind]).report
    assert report["refusal_code"] == "wrong_type"
    message, remedy = report["refusal"].split("not CSV; ")
    assert kind.split(" behind ")[0].split(" of ")[0] in message
    assert len(remedy) > 20


@pytest.mark.parametrize(
    "header", [b"<coin>,symbol", b"[coin],symbol", b"{id},coin", b"PAR1,coin", b"ORC,coin", b"BZh1,coin"]
)
def test_a_header_is_not_mistaken_for_another_file_type(header: bytes) -> None:
    assert parse(header + b"\n1,2\n").report["refusal_code"] == "missing_columns"


# Systematic cell errors


@pytest.mark.parametrize(
    ("column", "value", "kind"),
    [
        ("24h", lambda cell: cell.replace("-", "\u2212"), "a Unicode minus"),
        ("7d", lambda cell: cell.replace("-", "\u2013") + "%" if "-" in cell else cell, "a Unicode minus"),
        ("7d", lambda cell: f"({cell[1:]})" if "-" in cell else cell, "negative numbers in parentheses"),
        ("price", lambda cell: f"{float(cell) * 99:,.5f}", "thousands separators"),
        ("price", lambda cell: f"{float(cell) * 99:,.5f}".replace(",", "\u00a0"), "thousands separators"),
        (
            "24h_volume",
            lambda cell: f"{float(cell) / 1e6:.3f}M" if float(cell) > 1e8 else cell,
            "a unit such as K, M or B",
        ),
        ("24h", lambda cell: cell + "%" if "-" in cell else cell, "a percent sign"),
        ("24h", lambda cell: cell if "-" in cell else f"+ {cell}", "a sign apart from its number"),
        ("24h", lambda cell: cell if "-" in cell else f"\uff0b{cell}", "digits or signs that are not ASCII"),
        ("7d", lambda cell: f"\u25bc {cell[1:]}%" if "-" in cell else cell, "an arrow instead of a sign"),
        ("24h", lambda cell: f"'{cell}" if "-" in cell else cell, "an apostrophe before the number"),
        ("price", lambda cell: "<0.05" if float(cell) < 0.05 else cell, "a bound instead of a number"),
        ("price", lambda cell: "0.0\u20855" if float(cell) < 0.05 else cell, "zeros counted in subscript"),
        ("24h", lambda cell: "down" if "-" in cell else cell, "no numbers where the others have one sign"),
        ("24h", lambda cell: "-" if "-" in cell else cell, "no numbers where the others have one sign"),
    ],
)
def test_an_error_that_selects_by_value_rejects_the_file(column, value, kind) -> None:
    rows = changed(column, lambda n, cell: value(cell))
    affected = sum(
        row[column] != before[column] and not _is_plain(row[column]) for row, before in zip(rows, market(), strict=True)
    )
    report = parse(rows, max_rejected_fraction=0.9).report
    assert report["refusal_code"] == "systematic_errors"
    [error] = [error for error in report["cell_errors"] if error["kind"] == kind]
    assert (error["column"], error["cells"], error["selects_by_value"]) == (column, affected, True)
    # One issue, not one per row.
    assert len(report["issues"]) <= 3


def _is_plain(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def test_unquoted_thousands_separators_are_detected() -> None:
    lines = content(changed("price", lambda n, cell: f"{float(cell) * 99:,.5f}")).replace(b'"', b"")
    report = parse(lines, max_rejected_fraction=0.9).report
    assert report["refusal_code"] == "systematic_errors"
    assert report["refusal"].startswith("price: systematic error in ")


@pytest.mark.parametrize(("sign", "kind"), [("{}%", "a percent sign"), ("${}", "a currency")])
def test_a_sign_in_every_cell_is_reported_once(sign: str, kind: str) -> None:
    report = parse(changed("7d", lambda n, cell: sign.format(cell))).report
    assert report["refusal_code"] == "no_usable_rows"
    assert f"7d: systematic error in 40 cells: {kind}" in report["refusal"]
    assert len(report["issues"]) == 2


def test_a_decimal_comma_is_no_thousands_separator() -> None:
    report = parse(changed("price", lambda n, cell: f"{float(cell):.4f}".replace(".", ","))).report
    assert [error["kind"] for error in report["cell_errors"]] == ["a decimal comma"]


def test_an_error_independent_of_values_rejects_only_its_rows() -> None:
    report = parse(changed("7d", lambda n, cell: cell + "%" if n % 5 == 0 else cell)).report
    assert (report["accepted"], report["rows_refused"]) == (True, {"not_a_number": 8})
    [issue] = report["issues"]
    assert issue.startswith("7d: systematic error in 8 cells: a percent sign; for example line 2: 7d is ")


def test_single_cells_are_reported_row_by_row() -> None:
    report = parse(changed("7d", lambda n, cell: f"{cell}%" if n == 5 else "abc" if n in (7, 9) else cell)).report
    assert report["cell_errors"] == []
    assert [issue.split(":")[0] for issue in report["issues"]] == ["line 7", "line 9", "line 11"]


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 39), st.sampled_from(HEADER), st.text(max_size=6)), max_size=60))
def test_every_row_is_accepted_or_rejected_for_a_reason(
    edits: list[tuple[int, str, str]],
) -> None:
    rows = market()
    for n, column, cell in edits:
        rows[n][column] = "".join(sign for sign in cell if sign.isprintable() and sign not in '",').strip()
    report = parse(rows).report
    assert report["rows_read"] == report["rows_kept"] + sum(report["rows_refused"].values())


# Files that must be accepted


def test_simulated_files_have_no_issue() -> None:
    simulated = snapshot_files(simulate_market(coins=60, days=30, end=dt.date(2025, 3, 10), seed=5))
    files = [RawFile(name, raw, TODAY) for name, raw in simulated]
    assert [snapshot.report["issues"] for snapshot in parse_snapshots(files, first_date=FIRST)] == [[]] * 30


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
    reports = {path.name.removesuffix(f"_{NAME}"): parse(path.read_bytes()).report for path in folder.glob("*.csv")}
    assert {name: report["refusal_code"] for name, report in reports.items() if name in expected} == expected
    assert reports["tiny_cap"]["rows_refused"] == {"implausible_number": 1}
    assert "line 4: mkt_cap is '5e-324'" in reports["tiny_cap"]["issues"][0]
