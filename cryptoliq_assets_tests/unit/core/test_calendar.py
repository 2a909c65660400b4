"""Calendar months: those that a set of dates affects, and their split into runs."""

import datetime as dt
from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from cryptoliq_assets.core.calendar import (
    add_months,
    affected_months,
    contiguous_ranges,
    date_span,
    first_day,
    last_day,
    max_months_spanned,
    month_of,
    months_between,
)

FIRST, LAST = dt.date(2019, 11, 1), dt.date(2020, 12, 31)
MONTHS = months_between(month_of(FIRST), month_of(LAST))


def days_from(first: dt.date, last: dt.date) -> list[dt.date]:
    return [first + dt.timedelta(days=step) for step in range((last - first).days + 1)]


def days_that_can_change(date: dt.date, *, horizon_days: int) -> set[dt.date]:
    """Return the days that a row can change, day by day from the window of each table, without the function under test."""
    around = days_from(date - dt.timedelta(days=60), date + dt.timedelta(days=160))
    # Whether the row of day D is an outlier depends on itself and the 5 days before.
    outlier_days = {day for day in around if 0 <= (day - date).days <= 5}
    # A critical cell of day D is filled from at most 3 days before, or from the day after.
    steps = (-3, -2, -1, 0, 1)
    cleaned = {day for day in around if any(day + dt.timedelta(days=step) in outlier_days for step in steps)}
    features = {day for day in around if any(0 <= (day - other).days <= 89 for other in cleaned)}
    labels = {day for day in around if day in features or day + dt.timedelta(days=horizon_days) in features}
    return {date} | cleaned | features | labels


@given(st.lists(st.dates(FIRST, LAST), max_size=4), st.integers(1, 28))
def test_affected_months_cover_every_day_that_can_change(dates: list[dt.date], horizon_days: int) -> None:
    changed = {month_of(day) for date in dates for day in days_that_can_change(date, horizon_days=horizon_days)}
    expected = sorted(changed & set(MONTHS))
    months = affected_months(dates, horizon_days=horizon_days, first=MONTHS[0], last=MONTHS[-1])
    assert months == expected


def test_a_row_of_2_march_affects_february_to_june() -> None:
    months = affected_months([dt.date(2022, 3, 2)], horizon_days=1, first="2013-01", last="2022-12")
    # 2 March + 97 days is 7 June; 2 March - 1 - 1 is 28 February.
    assert months == ["2022-02", "2022-03", "2022-04", "2022-05", "2022-06"]
    assert affected_months([dt.date(2022, 3, 3)], horizon_days=1, first="2013-01", last="2022-12")[0] == "2022-03"


def test_no_month_before_the_first_or_after_the_last_is_affected() -> None:
    assert affected_months([dt.date(2022, 3, 2)], horizon_days=1, first="2022-03", last="2022-04") == [
        "2022-03",
        "2022-04",
    ]
    assert affected_months([dt.date(2022, 3, 2)], horizon_days=1, first="2023-01", last="2023-12") == []
    assert affected_months([], horizon_days=1, first="2013-01", last="2022-12") == []


@given(st.sets(st.sampled_from(MONTHS)), st.integers(2, 5))
def test_ranges_cover_the_months_and_overlap_by_one_month(months: set[str], max_months: int) -> None:
    ranges = contiguous_ranges(months, max_months=max_months)
    covered = [month for first, last in ranges for month in months_between(first, last)]
    assert set(covered) == months
    assert all(1 <= len(months_between(first, last)) <= max_months for first, last in ranges)
    for (first, last), (following, end) in pairwise(ranges):
        assert first <= last
        if add_months(last, 1) in months:
            # Adjacent ranges overlap by one month and have at least one new month.
            assert following == last
            assert end > following
        else:
            assert following > add_months(last, 1)
    overlaps = sum(following == last for (_, last), (following, _) in pairwise(ranges))
    assert len(covered) == len(months) + overlaps


def test_five_months_in_runs_of_two_overlap_by_one() -> None:
    months = months_between("2021-11", "2022-03")
    assert contiguous_ranges(months, max_months=2) == [
        ("2021-11", "2021-12"),
        ("2021-12", "2022-01"),
        ("2022-01", "2022-02"),
        ("2022-02", "2022-03"),
    ]
    assert contiguous_ranges(months, max_months=4) == [("2021-11", "2022-02"), ("2022-02", "2022-03")]
    assert contiguous_ranges(months, max_months=5) == [("2021-11", "2022-03")]


def test_ranges_do_not_overlap_across_a_gap() -> None:
    assert contiguous_ranges(["2022-03", "2021-01", "2022-02"], max_months=24) == [
        ("2021-01", "2021-01"),
        ("2022-02", "2022-03"),
    ]
    assert contiguous_ranges([], max_months=24) == []


@pytest.mark.parametrize(("days", "months"), [(0, 0), (1, 1), (3, 1), (28, 1), (29, 2), (59, 2), (60, 3), (89, 3)])
def test_a_span_of_days_crosses_the_expected_months(days: int, months: int) -> None:
    assert max_months_spanned(days) == months


@given(st.dates(dt.date(2013, 1, 1), dt.date(2030, 12, 31)), st.integers(0, 89))
def test_a_span_of_days_never_exceeds_its_months(date: dt.date, days: int) -> None:
    month, crossed = month_of(date), max_months_spanned(days)
    assert month_of(first_day(month) - dt.timedelta(days=days)) >= add_months(month, -crossed)
    assert month_of(last_day(month) + dt.timedelta(days=days)) <= add_months(month, crossed)


def test_a_span_above_89_days_is_an_error() -> None:
    with pytest.raises(StopIteration):
        max_months_spanned(90)


def test_months_are_counted_across_years_and_leap_days() -> None:
    assert month_of(dt.date(2024, 2, 29)) == "2024-02"
    assert (first_day("2024-02"), last_day("2024-02")) == (dt.date(2024, 2, 1), dt.date(2024, 2, 29))
    assert last_day("2023-02") == dt.date(2023, 2, 28)
    assert (add_months("2024-01", -1), add_months("2023-12", 1), add_months("2024-01", -25)) == (
        "2023-12",
        "2024-01",
        "2021-12",
    )
    assert months_between("2023-11", "2024-02") == ["2023-11", "2023-12", "2024-01", "2024-02"]
    assert months_between("2024-02", "2024-01") == []


def test_the_date_span_is_the_first_and_last_midnight() -> None:
    assert date_span(["2024-03", "2024-01"]) == (dt.datetime(2024, 1, 1), dt.datetime(2024, 3, 31))
