"""`cryptoliq serve` before anything listens: what it refuses, and what it hands to the server."""

import tempfile

import pytest
import uvicorn
from click.testing import CliRunner
from filelock import FileLock

from cryptoliq_assets.cli.main import cli
from cryptoliq_assets.core.home import prepare_home
from cryptoliq_assets.serving.gateway.auth import hash_key
from cryptoliq_assets.serving.server import workers
from cryptoliq_assets_tests.support.settings import make_settings


@pytest.fixture
def serve(tmp_path, monkeypatch):
    """Runs the command; returns what it said, and the server's configuration where it came so far."""
    configs: list[uvicorn.Config] = []
    monkeypatch.setattr(workers, "run", lambda config: bool(configs.append(config)) or True)
    for name in ("CRYPTOLIQ_HOME", "CRYPTOLIQ_API__HOST", "CRYPTOLIQ_API__PORT"):
        # The command writes these for its workers; the test's own come back at its end.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)

    def serve(*words: str, **settings: object):
        prepare_home(make_settings(home_dir=tmp_path))
        known = {f"CRYPTOLIQ_{name.upper()}": str(value) for name, value in settings.items()}
        told = CliRunner().invoke(cli, ["--home", str(tmp_path), "serve", *words], env=known)
        return told, configs[-1] if configs else None

    return serve


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org"])
def test_without_keys_any_host_but_loopback_is_refused_in_words(serve, host):
    told, config = serve("--host", host)
    assert (told.exit_code, config) == (2, None)
    assert f"at {host} the service would be open to everyone" in " ".join(told.output.split())
    told, config = serve("--host", host, api__keys=hash_key("a"))
    assert (told.exit_code, config.host) == (0, host)


def test_a_key_in_place_of_its_digest_is_refused_and_not_shown(serve):
    told, config = serve(api__keys="my-plain-key")
    assert (told.exit_code, config) == (2, None)
    assert "no sha256 in hex" in told.output
    assert "my-plain-key" not in told.output


def test_a_new_key_is_printed_with_its_digest_and_nothing_is_served(serve):
    told, config = serve("--new-key")
    assert (told.exit_code, config) == (0, None)
    key = told.output.splitlines()[0].rpartition(" ")[2]
    assert f"CRYPTOLIQ_API__KEYS={hash_key(key)}" in told.output


def test_a_certificate_without_its_key_or_without_a_file_is_refused(serve, tmp_path):
    cert = tmp_path / "cert.pem"
    cert.write_text("x")
    told, _ = serve(api__tls_cert=cert)
    assert told.exit_code == 2
    assert "belong together" in told.output
    told, _ = serve(api__tls_cert=cert, api__tls_key=tmp_path / "absent.pem")
    assert told.exit_code == 2
    assert "is no file" in told.output


def test_no_forwarded_header_is_believed_unless_a_proxy_is_named(serve):
    _, config = serve()
    assert (config.proxy_headers, config.forwarded_allow_ips) == (False, "")
    _, config = serve(api__trusted_proxies="10.0.0.7")
    assert (config.proxy_headers, config.forwarded_allow_ips) == (True, "10.0.0.7")


def test_the_server_logs_no_request_line_and_names_no_software(serve):
    _, config = serve("--port", "8123", "--workers", "1")
    assert (config.port, config.workers) == (8123, 1)
    assert (config.access_log, config.server_header) == (False, False)


def test_metrics_of_a_killed_supervisor_are_removed_by_the_next_and_those_of_a_living_one_stay(
    serve, tmp_path, monkeypatch
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    dead, alive = tmp_path / "cryptoliq-metrics-dead", tmp_path / "cryptoliq-metrics-alive"
    for folder in (dead, alive):
        folder.mkdir()
        (folder / "supervisor.lock").touch()
        (folder / "counter_5.db").touch()
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "")
    with FileLock(alive / "supervisor.lock"):
        told, _ = serve("--workers", "2")
        assert told.exit_code == 0, told.output
        assert [path.name for path in tmp_path.glob("cryptoliq-metrics-*")] == [alive.name]


def test_a_list_of_keys_that_holds_none_is_refused_in_words(serve):
    told, config = serve(api__keys=",")
    assert (told.exit_code, config) == (2, None)
    assert "holds no digest" in " ".join(told.output.split())
