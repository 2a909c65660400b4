"""The setting of the scheduler: its form, and a Dask that is not installed."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from cryptoliq_assets.cli.main import cli
from cryptoliq_assets.core.cluster import errors
from cryptoliq_assets_tests.support.settings import make_settings


@pytest.fixture
def no_dask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errors, "find_spec", lambda name: None)


def test_the_documented_variable_sets_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRYPTOLIQ_DASK_ADDRESS", "tcp://10.0.0.5:8786")
    assert make_settings().dask_address == "tcp://10.0.0.5:8786"
    monkeypatch.setenv("CRYPTOLIQ_DASK_ADDRESS", "")
    assert make_settings().dask_address is None


@pytest.mark.parametrize("address", ["10.0.0.5:8786", "tcp://10.0.0.5", "http://10.0.0.5:8786", "tcp://a b:1"])
def test_an_address_that_no_scheduler_has_is_rejected(address: str) -> None:
    with pytest.raises(ValueError, match="it must read tcp://host:port"):
        make_settings(dask_address=address)


def test_without_dask_a_command_ends_before_anything_runs(
    no_dask: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRYPTOLIQ_DASK_ADDRESS", "tcp://10.0.0.5:8786")
    result = CliRunner().invoke(cli, ["--home", str(tmp_path / "home"), "setup"])
    assert result.exit_code == 2
    assert "CRYPTOLIQ_DASK_ADDRESS" in result.output
    assert "pip install '.[cluster]'" in result.output
    assert not (tmp_path / "home").exists()


def test_no_address_needs_no_dask(no_dask: None) -> None:
    assert make_settings(dask_address="").dask_address is None


def test_the_command_cluster_says_how_to_install_dask(no_dask: None, tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["--home", str(tmp_path), "cluster"])
    assert result.exit_code == 1
    assert "pip install '.[cluster]'" in result.output
