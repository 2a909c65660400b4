"""A port scan's worth of bad requests: refused, every one, and none of them a failure."""

import sys

import pytest

from cryptoliq_assets_tests.support.paths import ROOT
from cryptoliq_assets_tests.support.services import serving

BENCHMARKS = ROOT / "benchmarks"


@pytest.fixture
def fuzz_service(monkeypatch):
    """The benchmark, of which the suite runs a part."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import fuzz_service

    yield fuzz_service
    sys.modules.pop("fuzz_service", None)


def test_500_bad_requests_bring_no_5xx_and_good_ones_are_answered_after_them(fuzz_service, trained_home, tmp_path):
    with serving(trained_home.copy_to(tmp_path / "home")) as served:
        fuzz = fuzz_service.Fuzz("127.0.0.1", served.port, seed=11)
        fuzz.run(500)
        assert fuzz.failures == []
        assert sum(fuzz.seen.values()) == 500
        assert fuzz.seen["422"] > 60
        assert fuzz.well()
        assert served.app_log("exception") == []
        assert "Traceback" not in served.errors.read_text()
