"""Location of a market: the same on every machine that shares its tables, and on no other."""

from pathlib import Path

import pytest

from cryptoliq_assets.core import ensure_home_id
from cryptoliq_assets.core.database import market_location
from cryptoliq_assets_tests.support.settings import make_settings


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("memory://bucket/data/", "memory://bucket/data"),
        ("/srv/../srv/tables", "file:///srv/tables"),
        ("file:///srv/tables", "file:///srv/tables"),
    ],
)
def test_a_location_does_not_depend_on_the_home(tmp_path: Path, url: str, location: str) -> None:
    for name in ("a", "b"):
        assert market_location(make_settings(home_dir=tmp_path / name, storage__url=url)) == location


def test_tables_in_a_home_belong_to_its_identifier(tmp_path: Path) -> None:
    a, b = (make_settings(home_dir=tmp_path / name) for name in ("a", "b"))
    for settings in (a, b):
        settings.data_dir.mkdir(parents=True)
        ensure_home_id(settings)
    assert market_location(a) != market_location(b)
    moved = make_settings(home_dir=a.home_dir.rename(tmp_path / "moved"))
    assert market_location(moved) == f"home:{ensure_home_id(moved)}/data"
