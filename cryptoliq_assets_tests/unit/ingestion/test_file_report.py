"""What a report says to people: every fault there is, in the order of the file, with what was expected."""

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


def dated(date: str) -> str:
    return GOOD.replace("2022-03-16", date)


@pytest.mark.parametrize(
    ("date", "said"),
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
def test_a_date_out_of_bounds_is_told_with_the_date_that_would_do(date: str, said: str) -> None:
    assert report(GOOD, dated(date))["issues"] == [said]


def test_faults_are_told_in_the_order_of_the_file_whatever_their_reason() -> None:
    bad = [dated("2012-12-31"), "Rune,RUN", GOOD.replace(",1,", ",-1,"), dated("soon"), GOOD.replace("Bitcoin", "")]
    issues = report(GOOD.replace("Bitcoin", "Ether"), *bad, GOOD, *reversed(bad))["issues"]
    lines = [int(issue.split(":")[0].removeprefix("line ")) for issue in issues]
    assert lines == [3, 4, 5, 6, 7, 9, 10, 11, 12, 13]


def test_of_many_rows_of_one_reason_twenty_are_told_and_the_others_counted_last() -> None:
    issues = report(
        *[GOOD] * 30, *[dated("soon")] * 25, "Rune,RUN", *[dated(f"2022-03-{day}") for day in range(10, 16)]
    )
    told = issues["issues"]
    assert (issues["rows_refused"]["bad_date"], issues["rows_refused"]["duplicate"]) == (25, 29)
    assert sum("(bad_date)" in issue for issue in told) == sum("(duplicate)" in issue for issue in told) == 20
    assert told[40].startswith("line 57: wrong_field_count: ")
    assert told[41:] == ["bad_date: 5 more rows", "duplicate: 9 more rows"]


@pytest.mark.parametrize(
    ("lines", "seen"),
    [
        ([GOOD, dated("soon")], ["line 3: date is 'soon' (bad_date)"]),
        ([dated("soon")], ["none of the 1 rows is valid", "line 2: date is 'soon' (bad_date)"]),
        ([], ["has a header but no rows"]),
        ([GOOD, '"open'], ["line 3: a cell opens with a quote"]),
    ],
)
def test_a_bad_name_hides_no_fault_of_the_content(lines: list[str], seen: list[str]) -> None:
    made = report(*lines, name="prices.csv")
    assert made["refusal_code"] == "bad_name"
    first, *others = made["issues"]
    assert first.startswith("rejected: the file name 'prices.csv' does not match coingecko_YYYYMMDD.csv")
    told = [first, *others]
    places = [next(i for i, issue in enumerate(told) if words in issue) for words in seen]
    assert places == sorted(places)
    assert made["refusal"] == first.removeprefix("rejected: ")
    # The same sentence as under a good name.
    assert [issue for issue in report(*lines)["issues"] if issue.startswith("line")] == others


def test_a_refusal_that_rows_have_a_part_in_names_the_first_fault() -> None:
    assert report(GOOD, GOOD, dated("soon"), dated("later"), dated("never"), *[dated("no")] * 30)["refusal"].endswith(
        "(most frequent reason: bad_date); first error: line 4: date is 'soon' (bad_date)"
    )
    # A repeat is no fault, and an empty file has none.
    assert "first error" not in report()["refusal"]
