"""Run tags of the project: hidden in the run list, and read from runs of earlier releases."""

import pytest

from cryptoliq_assets.ingestion.reports import COMMAND_TAG, get_command_id
from cryptoliq_assets.orchestration.dead_runs import PROCESS_TAG
from cryptoliq_assets.orchestration.jobs import REJECTED_TAG, earlier_tag, read_tag
from cryptoliq_assets.orchestration.sensors.champion import REQUEST_TAG
from cryptoliq_assets.orchestration.sensors.monitoring import SNAPSHOT_TAG
from cryptoliq_assets.orchestration.sensors.raw_files import PLAN_TAG

EARLIER_TAGS = {
    COMMAND_TAG: "cryptoliq/command",
    PROCESS_TAG: "cryptoliq/process",
    REJECTED_TAG: "cryptoliq/refused",
    REQUEST_TAG: "cryptoliq/keeper",
    SNAPSHOT_TAG: "cryptoliq/monitor_of",
    PLAN_TAG: "cryptoliq/plan",
}


@pytest.mark.parametrize("tag", list(EARLIER_TAGS))
def test_dagsters_ui_hides_every_tag_of_ours(tag):
    from dagster._core.storage.tags import TagType, get_tag_type

    assert get_tag_type(tag) == TagType.HIDDEN


@pytest.mark.parametrize("tag", [tag for tag in EARLIER_TAGS if tag != COMMAND_TAG])
def test_a_tag_of_an_earlier_release_is_read(tag):
    assert earlier_tag(tag) == EARLIER_TAGS[tag]
    assert read_tag({EARLIER_TAGS[tag]: "earlier"}, tag) == "earlier"
    assert read_tag({EARLIER_TAGS[tag]: "earlier", tag: "current"}, tag) == "current"
    assert read_tag({}, tag) is None


def test_the_command_of_a_run_of_an_earlier_release_is_read():
    assert get_command_id({EARLIER_TAGS[COMMAND_TAG]: "c"}, "r") == "c"
    assert get_command_id({COMMAND_TAG: "d", EARLIER_TAGS[COMMAND_TAG]: "c"}, "r") == "d"
