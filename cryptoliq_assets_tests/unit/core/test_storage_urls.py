"""Locations whose driver is not installed or whose scheme does not exist."""

import pytest
from click.testing import CliRunner
from fsspec.registry import _registry

from cryptoliq_assets.cli.main import cli
from cryptoliq_assets.core import locations
from cryptoliq_assets_tests.support.settings import make_settings


@pytest.fixture
def no_drivers(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in an environment without the packages of object stores."""
    monkeypatch.setattr(locations, "find_spec", lambda name: None)
    for scheme in ("s3", "gs"):
        # An earlier test of this process may have registered a client.
        monkeypatch.delitem(_registry, scheme, raising=False)


@pytest.mark.parametrize("setting", ["storage__url", "storage__models_url"])
@pytest.mark.parametrize(
    ("url", "remedy"),
    [
        ("s3://bucket/data", r"pip install '\.\[s3\]'"),
        ("gs://bucket/data", r"pip install '\.\[gcs\]'"),
        ("hf://data/set", "pip install huggingface_hub"),
    ],
)
def test_a_missing_driver_names_what_to_install(no_drivers: None, setting: str, url: str, remedy: str) -> None:
    with pytest.raises(ValueError, match=f"which is not installed: {remedy}"):
        make_settings(**{setting: url})


def test_an_unknown_scheme_is_rejected() -> None:
    with pytest.raises(ValueError, match="s4:// is no kind of location"):
        make_settings(storage__url="s4://bucket/data")


@pytest.mark.parametrize("url", ["memory://tables", "file:///srv/tables", "/srv/tables", "tables"])
def test_locations_without_a_package_need_no_driver(no_drivers: None, url: str) -> None:
    assert make_settings(storage__url=url).storage.url == url


def test_a_missing_driver_ends_the_command_at_once(no_drivers: None, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRYPTOLIQ_STORAGE__URL", "s3://bucket/data")
    result = CliRunner().invoke(cli, ["--home", str(tmp_path / "home"), "setup"])
    assert result.exit_code == 2
    assert "pip install '.[s3]'" in result.output
    assert not (tmp_path / "home").exists()
