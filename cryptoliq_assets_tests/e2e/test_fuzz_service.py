"""Invalid requests: all are rejected, and none causes a server error."""

import sys

import pytest

from cryptoliq_assets_tests.support.paths import ROOT
from cryptoliq_assets_tests.support.services import serving

BENCHMARKS = ROOT / "benchmarks"


@pytest.fixture
def fuzz_service(monkeypatch):
    """The benchmark of which this test runs a part."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import fuzz_service

    yield fuzz_service
    for name in ("fuzz_service", "fuzz_inputs"):
        sys.modules.pop(name, None)


def test_500_invalid_requests_cause_no_server_error(fuzz_service, trained_home, tmp_path):
    with serving(trained_home.copy_to(tmp_path / "home")) as served:
        fuzz = fuzz_service.Fuzz("127.0.0.1", served.port, seed=11)
        fuzz.run(500)
        assert fuzz.failures == []
        assert sum(fuzz.statuses.values()) == 500
        assert fuzz.statuses["422"] > 60
        assert fuzz.is_healthy()
        assert served.app_log("exception") == []
        assert "Traceback" not in served.errors.read_text()
