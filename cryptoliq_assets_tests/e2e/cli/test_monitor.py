"""cryptoliq monitor and alerts."""

import json

from cryptoliq_assets_tests.support.receivers import receiver


def test_monitor_shows_findings_and_exits_with_1(run, trained_home, tmp_path):
    home = trained_home.copy_to(tmp_path / "home")
    result = run("monitor", home=home)
    assert result.code == 1
    assert "FAIL Data is stale: raw_snapshots" in result.text
    listed = run("alerts", "list", home=home)
    assert listed.code == 0
    assert "FAIL Data is stale: raw_snapshots, since" in listed.text
    assert "opened" in listed.text
    listed = json.loads(run("alerts", "list", "--json", home=home).out)
    assert [incident["kind"] for incident in listed["open"] if incident["level"] == "fail"] == ["data_stale"]
    assert (listed["waiting"], listed["problem"]) == ([], None)


def test_monitor_of_an_empty_data_directory_passes(run, tmp_path):
    result = run("monitor", home=tmp_path)
    assert result.code == 0
    assert "checks passed" in result.text
    assert run("alerts", "list", home=tmp_path).text == "no open incidents"


def test_alerts_test_reports_the_delivery_to_each_channel(run, tmp_path, monkeypatch):
    with receiver() as taking, receiver() as failing:
        failing.status = 401
        monkeypatch.setenv("CRYPTOLIQ_ALERTS__URLS", taking.url)
        result = run("alerts", "test", home=tmp_path)
        assert result.code == 0
        assert result.text.startswith("delivered to json-")
        assert taking.titles == ["cryptoliq: test of this channel"]
        monkeypatch.setenv("CRYPTOLIQ_ALERTS__URLS", f"{taking.url} {failing.url}")
        result = run("alerts", "test", home=tmp_path)
    assert result.code == 1
    assert len(taking.titles) == 2
    assert "not delivered to json-" in result.text
    assert "401" in result.text
    assert "hush" not in result.text
    assert not list((tmp_path / "reports").iterdir())


def test_alerts_test_without_a_channel_names_the_setting(run, tmp_path):
    result = run("alerts", "test", home=tmp_path)
    assert result.code == 1
    assert "set CRYPTOLIQ_ALERTS__URLS" in result.text
