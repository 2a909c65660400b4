"""Validation of rows: each invalid row is rejected with line, column and value."""

import pytest

from cryptoliq_assets_tests.support.csv_snapshots import (
    BITCOIN,
    ETHEREUM,
    HEADER,
    TETHER,
    get_only_rejected,
    parse,
    table,
)


@pytest.mark.parametrize(
    ("line", "reason", "column", "value"),
    [
        ("Bitcoin,BTC,1", "wrong_field_count", None, "3 fields"),
        (BITCOIN + ",9", "wrong_field_count", None, "10 fields"),
        (BITCOIN.replace("Bitcoin", " "), "missing_coin", "coin", ""),
        (BITCOIN.replace("2022-03-16", ""), "missing_date", "date", ""),
        (BITCOIN.replace("2022-03-16", "16/3/2022"), "bad_date", "date", "16/3/2022"),
        (BITCOIN.replace("2022-03-16", "2022-02-30"), "bad_date", "date", "2022-02-30"),
        (BITCOIN + " 14:30:00", "bad_date", "date", "2022-03-16 14:30:00"),
        (BITCOIN.replace("2022-03-16", "2012-12-31"), "date_too_early", "date", "2012-12-31"),
        (BITCOIN.replace("2022-03-16", "2026-01-02"), "date_in_future", "date", "2026-01-02"),
        (BITCOIN.replace("40000", "abc"), "not_a_number", "price", "abc"),
        (BITCOIN.replace("40000", '"40,000"'), "not_a_number", "price", "40,000"),
        (BITCOIN.replace("40000", "0x10"), "not_a_number", "price", "0x10"),
        (BITCOIN.replace("40000", "nan(7)"), "not_a_number", "price", "nan(7)"),
        (BITCOIN.replace("-2.5", "-"), "not_a_number", "24h", "-"),
        (BITCOIN.replace("40000", "inf"), "infinite_number", "price", "inf"),
        (BITCOIN.replace("-2.5", "-Infinity"), "infinite_number", "24h", "-Infinity"),
        (BITCOIN.replace("-2.5", "1e999"), "infinite_number", "24h", "1e999"),
        (BITCOIN.replace("-2.5", "1e307"), "implausible_number", "24h", "1e307"),
        (BITCOIN.replace("-2.5", "-1.01e16"), "implausible_number", "24h", "-1.01e16"),
        (BITCOIN.replace("40000", "5e-324"), "implausible_number", "price", "5e-324"),
        (BITCOIN.replace("40000", "9.99e-19"), "implausible_number", "price", "9.99e-19"),
        (BITCOIN.replace("2e10", "1.01e18"), "implausible_number", "24h_volume", "1.01e18"),
        (BITCOIN.replace("8e11", "5e-324"), "implausible_number", "mkt_cap", "5e-324"),
        (BITCOIN.replace("8e11", "1e308"), "implausible_number", "mkt_cap", "1e308"),
        (BITCOIN.replace("40000", "-1"), "negative_value", "price", "-1"),
        (BITCOIN.replace("2e10", "-1"), "negative_value", "24h_volume", "-1"),
        (BITCOIN.replace("8e11", "-1"), "negative_value", "mkt_cap", "-1"),
    ],
)
def test_a_bad_row_is_rejected_with_line_column_and_value(line: str, reason: str, column: str, value: str) -> None:
    parsed = parse(table(ETHEREUM, line, TETHER))
    expected = {"line": 3, "reason": reason, "column": column, "value": value, "text": line}
    assert get_only_rejected(parsed) == expected
    assert parsed.rows["coin"].to_pylist() == ["Ethereum", "Tether"]
    assert parsed.report["rows_refused"] == {reason: 1}
    issue, *column_issues = parsed.report["issues"]
    assert issue.startswith("line 3: ")
    assert "; expected " in issue
    # One empty cell in three is above the maximum fraction of empty cells.
    assert len(column_issues) == (1 if reason in ("missing_coin", "missing_date") else 0)


def test_a_negative_stated_liquidity_ratio_is_rejected() -> None:
    parsed = parse(table(BITCOIN + ",-0.5", ETHEREUM + ",0.033", header=HEADER + ",liquidity_ratio"))
    assert get_only_rejected(parsed)["column"] == "liquidity_ratio"


def test_negative_changes_are_accepted() -> None:
    assert parse(table(BITCOIN)).rejected_rows.num_rows == 0


def test_a_row_with_many_errors_counts_for_the_first_one() -> None:
    parsed = parse(table(",BTC,abc,inf,x,y,-1,-1,yesterday", ETHEREUM, TETHER))
    assert parsed.report["rows_refused"] == {"missing_coin": 1}


def test_of_two_equal_rows_one_is_accepted() -> None:
    parsed = parse(table(BITCOIN, ETHEREUM, BITCOIN))
    assert (get_only_rejected(parsed)["reason"], get_only_rejected(parsed)["line"]) == ("duplicate", 2)
    assert parsed.report["duplicates"] == 1


def test_the_last_row_of_a_coin_and_date_is_accepted() -> None:
    parsed = parse(table(BITCOIN, ETHEREUM, BITCOIN.replace("40000", "41000")))
    assert (get_only_rejected(parsed)["reason"], get_only_rejected(parsed)["line"]) == ("superseded_in_file", 2)
    assert dict(zip(parsed.rows["coin"].to_pylist(), parsed.rows["price"].to_pylist(), strict=True)) == {
        "Ethereum": 2700.0,
        "Bitcoin": 41000.0,
    }


def test_a_rejected_row_does_not_supersede_another() -> None:
    parsed = parse(table(BITCOIN, ETHEREUM, BITCOIN.replace("40000", "-1")))
    assert parsed.report["rows_refused"] == {"negative_value": 1}
    assert parsed.rows.num_rows == 2


def test_a_thousand_repeats_do_not_reject_the_file() -> None:
    parsed = parse(table(*[BITCOIN] * 1001))
    assert (parsed.report["rows_kept"], parsed.report["rows_refused"]) == (1, {"duplicate": 1000})


def test_issues_list_20_rows_per_reason_and_count_the_rest() -> None:
    bad = [f"Coin {number},C,-1,,,,,,2022-03-16" for number in range(25)]
    good = [f"Good {number},G,1,,,,,,2022-03-16" for number in range(25)]
    report = parse(table(*bad, *good)).report
    assert len([issue for issue in report["issues"] if issue.startswith("line ")]) == 20
    assert "negative_value: 5 more rows" in report["issues"]
