"""Issues of a report: all errors, in the order of the file, with the expected value."""

import datetime as dt
from typing import Any

import pytest

from cryptoliq_assets.ingestion.parsing import parse_snapshot
from cryptoliq_assets_tests.support.markets import HEADER

FIRST, TODAY = dt.date(2013, 1, 1), dt.date(2022, 12, 31)
NAME = "coingecko_20220316.csv"
GOOD = "Bitcoin,BTC,1,-0.5,-2.5,-4,1e6,1e9,2022-03-16"


def report(*lines: str, name: str = NAME) -> dict[str, Any]:
    content = "\n".join([HEADER, *lines, ""]).encode()
    return parse_snapshot(content, name=name, today=TODAY, first_date=FIRST, max_rejected_fraction=0.9).report


def with_date(date: str) -> str:
    return GOOD.replace("2022-03-16", date)


@pytest.mark.parametrize(
    ("date", "issue"),
    [
        (
            "2012-12-31",
            "line 3: date is '2012-12-31' (date_too_early); expected a date on or after 2013-01-01, the first partition",
        ),
        (
            "2023-01-01",
            "line 3: date is '2023-01-01' (date_in_future); expected a date no later than 2022-12-31 (UTC)",
        ),
    ],
)
def test_a_date_out_of_range_is_reported_with_the_limit(date: str, issue: str) -> None:
    assert report(GOOD, with_date(date))["issues"] == [issue]


def test_issues_are_in_the_order_of_the_file() -> None:
    bad = [
        with_date("2012-12-31"),
        "Rune,RUN",
        GOOD.replace(",1,", ",-1,"),
        with_date("soon"),
        GOOD.replace("Bitcoin", ""),
    ]
    issues = report(GOOD.replace("Bitcoin", "Ether"), *bad, GOOD, *reversed(bad))["issues"]
    lines = [int(issue.split(":")[0].removeprefix("line ")) for issue in issues]
    assert lines == [3, 4, 5, 6, 7, 9, 10, 11, 12, 13]


def test_20_rows_per_reason_are_listed_and_the_rest_counted() -> None:
    result = report(
        *[GOOD] * 30, *[with_date("soon")] * 25, "Rune,RUN", *[with_date(f"2022-03-{day}") for day in range(10, 16)]
    )
    issues = result["issues"]
    assert (result["rows_refused"]["bad_date"], result["rows_refused"]["duplicate"]) == (25, 29)
    assert sum("(bad_date)" in issue for issue in issues) == sum("(duplicate)" in issue for issue in issues) == 20
    assert issues[40].startswith("line 57: wrong_field_count: ")
    assert issues[41:] == ["bad_date: 5 more rows", "duplicate: 9 more rows"]


@pytest.mark.parametrize(
    ("lines", "messages"),
    [
        ([GOOD, with_date("soon")], ["line 3: date is 'soon' (bad_date)"]),
        ([with_date("soon")], ["none of the 1 rows is valid", "line 2: date is 'soon' (bad_date)"]),
        ([], ["has a header but no rows"]),
        ([GOOD, '"open'], ["line 3: a cell opens with a quote"]),
    ],
)
def test_a_bad_name_does_not_hide_errors_of_the_content(lines: list[str], messages: list[str]) -> None:
    result = report(*lines, name="prices.csv")
    assert result["refusal_code"] == "bad_name"
    first, *others = result["issues"]
    assert first.startswith("rejected: the file name 'prices.csv' does not match coingecko_YYYYMMDD.csv")
    issues = [first, *others]
    positions = [next(i for i, issue in enumerate(issues) if message in issue) for message in messages]
    assert positions == sorted(positions)
    assert result["refusal"] == first.removeprefix("rejected: ")
    # The same issues as with a valid name.
    assert [issue for issue in report(*lines)["issues"] if issue.startswith("line")] == others


def test_a_rejection_caused_by_rows_names_the_first_error() -> None:
    assert report(GOOD, GOOD, with_date("soon"), with_date("later"), with_date("never"), *[with_date("no")] * 30)[
        "refusal"
    ].endswith("(most frequent reason: bad_date); first error: line 4: date is 'soon' (bad_date)")
    # A repeated row is no error, and an empty file has no rows.
    assert "first error" not in report()["refusal"]
