"""Systematic cell errors: detected, reported once, and rejecting the file if they select by value."""

import pytest
from hypothesis import given, settings, strategies as st

from cryptoliq_assets_tests.support.market_files import HEADER, changed, content, market, parse


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
