"""Incidents: notified when they open, become worse, stay and recover, and not at every check."""

import datetime as dt
import itertools

import pytest
from hypothesis import given, strategies as st

from cryptoliq_assets.monitoring.alerting.incidents import (
    ESCALATED,
    OPENED,
    RECOVERED,
    REMINDED,
    RETURNED,
    Incident,
)
from cryptoliq_assets.monitoring.alerting.transitions import advance_incidents
from cryptoliq_assets.monitoring.findings import ALERT_KINDS, FAIL, OK, WARN, Finding

NOON = dt.datetime(2025, 8, 1, 12, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)
DAY = dt.timedelta(hours=24)


def stale(level: str = FAIL, where: str = "raw_snapshots", **fields: object) -> Finding:
    return Finding("data_stale", level, where, f"it is {level}", **fields)


def notices_of(*evaluations: tuple[float, list[Finding]]) -> list[tuple[float, str, str]]:
    """Return (minutes, event, place) of each notice of evaluations at the given minutes."""
    incidents: dict[str, Incident] = {}
    result = []
    for minutes, findings in evaluations:
        incidents, notices = advance_incidents(incidents, findings, NOON + minutes * MINUTE, repeat=DAY)
        # As it is stored between two evaluations.
        incidents = {key: Incident.from_dict(incident.to_dict()) for key, incident in incidents.items()}
        result += [(minutes, notice.event, notice.where) for notice in notices]
    return result


def events(*evaluations: tuple[float, list[Finding]]) -> list[tuple[float, str]]:
    return [(minutes, event) for minutes, event, _ in notices_of(*evaluations)]


def test_a_persistent_fault_is_notified_once_a_day():
    evaluations = [(minute, [stale()]) for minute in range(0, 1500, 20)]
    assert events(*evaluations) == [(0, OPENED), (1440, REMINDED)]


def test_a_recovery_needs_two_ok_evaluations_and_five_minutes():
    assert events((0, [stale()]), *((minute, [stale(OK)]) for minute in range(1, 12))) == [(0, OPENED), (6, RECOVERED)]


def test_one_ok_evaluation_between_failures_is_no_recovery():
    evaluations = [(0, [stale()]), (10, [stale(OK)]), (20, [stale()]), (30, [stale(OK)]), (40, [stale()])]
    assert events(*evaluations) == [(0, OPENED)]


def test_two_ok_evaluations_a_day_apart_are_a_recovery():
    assert events((0, [stale()]), (1000, [stale(OK)]), (2440, [stale(OK)])) == [(0, OPENED), (2440, RECOVERED)]


def test_a_warning_that_becomes_a_failure_is_notified_once():
    evaluations = [(0, [stale(WARN)]), (1, [stale(FAIL)]), (2, [stale(WARN)]), (3, [stale(FAIL)])]
    assert events(*evaluations) == [(0, OPENED), (1, ESCALATED)]


def test_an_incident_without_findings_stays_open_with_reminders():
    evaluations = [(0, [stale()]), *((minute, []) for minute in range(10, 1500, 10))]
    assert events(*evaluations) == [(0, OPENED), (1440, REMINDED)]
    _, (notice,) = advance_incidents(advance_incidents({}, [stale()], NOON, repeat=DAY)[0], [], NOON + DAY, repeat=DAY)
    assert "not evaluated since 2025-08-01T12:00" in notice.what


def test_a_flapping_incident_is_notified_once_more_within_a_day():
    failing, ok = [stale()], [stale(OK)]
    evaluations = [(minute, failing if minute // 30 % 2 == 0 else ok) for minute in range(0, 1440, 2)]
    assert events(*evaluations) == [(0, OPENED), (36, RECOVERED), (60, RETURNED)]
    assert events(*evaluations, (1446, ok), (1452, ok)) == [
        (0, OPENED),
        (36, RECOVERED),
        (60, RETURNED),
        (1446, RECOVERED),
    ]


def test_a_fault_that_returns_after_a_day_is_a_new_incident():
    ok = [(minute, [stale(OK)]) for minute in (1, 10)]
    assert events((0, [stale()]), *ok, (1441, [stale()])) == [(0, OPENED), (10, RECOVERED), (1441, OPENED)]


def test_the_worst_finding_of_each_subject_counts():
    evaluations = [(0, [stale(WARN), stale(OK, where="other"), stale(FAIL)]), (1, [stale(WARN, where="other")])]
    assert notices_of(*evaluations) == [(0, OPENED, "raw_snapshots"), (1, OPENED, "other")]
    incidents, _ = advance_incidents({}, evaluations[0][1], NOON, repeat=DAY)
    assert incidents["data_stale/raw_snapshots"].level == FAIL


def test_a_notice_has_message_place_start_and_remedy():
    _, (notice,) = advance_incidents({}, [stale(since="2025-07-30")], NOON, repeat=DAY)
    assert notice.subject == "FAIL: Data is stale: raw_snapshots"
    assert notice.text.splitlines() == [
        "it is fail",
        "where: raw_snapshots",
        "since: 2025-07-30",
        f"what to do: {ALERT_KINDS['data_stale'].remedy}",
        f"ID: {stale().id} (`cryptoliq alerts close {stale().id}` closes the incident)",
    ]
    _, (without_start,) = advance_incidents({}, [stale()], NOON, repeat=DAY)
    assert without_start.since == "2025-08-01T12:00:00+00:00"


def test_a_recovery_notice_has_the_current_state_and_no_remedy():
    incidents, _ = advance_incidents({}, [stale(since="2025-07-30")], NOON, repeat=DAY)
    for minutes in (1, 7):
        incidents, notices = advance_incidents(incidents, [stale(OK)], NOON + minutes * MINUTE, repeat=DAY)
    (notice,) = notices
    assert (notice.subject, notice.level) == ("OK again: Data is stale: raw_snapshots", OK)
    assert notice.text.splitlines() == ["it is ok", "where: raw_snapshots", "since: 2025-07-30"]


# Properties

EVALUATIONS = st.lists(
    st.tuples(
        st.integers(1, 400),
        st.lists(
            st.builds(
                stale,
                st.sampled_from([OK, OK, WARN, FAIL]),
                st.sampled_from(["a", "b"]),
                since=st.sampled_from([None, "x"]),
            ),
            max_size=4,
        ),
    ),
    max_size=60,
)


def timed(steps: list[tuple[int, list[Finding]]]) -> list[tuple[float, list[Finding]]]:
    minutes = itertools.accumulate(wait for wait, _ in steps)
    return [(minute, findings) for minute, (_, findings) in zip(minutes, steps, strict=True)]


def by_place(result: list[tuple[float, str, str]], place: str) -> list[tuple[float, str]]:
    return [(minutes, event) for minutes, event, where in result if where == place]


@given(EVALUATIONS)
def test_no_incident_opens_or_returns_twice_while_throttled(steps):
    result = notices_of(*timed(steps))
    for place, event in itertools.product("ab", (OPENED, RETURNED)):
        minutes = [at for at, other in by_place(result, place) if other == event]
        assert all(later - earlier >= 1440 for earlier, later in itertools.pairwise(minutes))


@given(EVALUATIONS)
def test_every_incident_recovers_at_most_once_before_it_reopens(steps):
    for place in "ab":
        changes = [
            event for _, event in by_place(notices_of(*timed(steps)), place) if event in (OPENED, RETURNED, RECOVERED)
        ]
        for number, event in enumerate(changes):
            assert (event == RECOVERED) == (number % 2 == 1)


@given(EVALUATIONS)
def test_every_incident_that_stays_ok_for_a_day_recovers_once(steps):
    evaluations = timed(steps)
    end = evaluations[-1][0] if evaluations else 0
    recovered = [(end + minutes, [stale(OK, where=place) for place in "ab"]) for minutes in (1, 720, 1441, 1500)]
    for place in "ab":
        changes = [
            event
            for _, event in by_place(notices_of(*evaluations, *recovered), place)
            if event in (OPENED, RETURNED, RECOVERED)
        ]
        assert changes.count(RECOVERED) * 2 == len(changes)


@given(EVALUATIONS, st.randoms())
def test_the_order_of_findings_does_not_matter(steps, random):
    mixed = [(wait, random.sample(findings, len(findings))) for wait, findings in steps]
    ordered, reordered = {}, {}
    for (minutes, findings), (_, shuffled) in zip(timed(steps), timed(mixed), strict=True):
        at = NOON + minutes * MINUTE
        ordered, result = advance_incidents(ordered, findings, at, repeat=DAY)
        reordered, shuffled_result = advance_incidents(reordered, shuffled, at, repeat=DAY)
        assert (ordered, result) == (reordered, shuffled_result)


@given(EVALUATIONS)
def test_reminders_are_a_day_apart_unless_the_level_rises(steps):
    failing = [(wait, [finding for finding in findings if finding.level != OK]) for wait, findings in steps]
    for place in "ab":
        result = [at for at, event in by_place(notices_of(*timed(failing)), place) if event != ESCALATED]
        assert all(later - earlier >= 1440 for earlier, later in itertools.pairwise(result))


def test_a_clock_set_back_repeats_no_notice():
    incidents, _ = advance_incidents({}, [stale()], NOON, repeat=DAY)
    assert advance_incidents(incidents, [stale()], NOON - 3 * DAY, repeat=DAY)[1] == []


@pytest.mark.parametrize("level", [WARN, FAIL])
def test_an_incident_survives_the_state_file_unchanged(level):
    (incident,) = advance_incidents({}, [stale(level, since="2025-07-30", figures={"age": 3.5})], NOON, repeat=DAY)[
        0
    ].values()
    assert Incident.from_dict(incident.to_dict()) == incident
