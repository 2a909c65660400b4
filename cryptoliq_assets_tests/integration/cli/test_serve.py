"""`cryptoliq serve` before it listens: rejected settings, and the configuration of the server."""

import tempfile

import pytest
import uvicorn
from click.testing import CliRunner
from filelock import FileLock

from cryptoliq_assets.cli.main import cli
from cryptoliq_assets.core.home import prepare_home
from cryptoliq_assets.serving.gateway.auth import hash_key
from cryptoliq_assets.serving.server import server
from cryptoliq_assets_tests.support.settings import make_settings


@pytest.fixture
def serve(tmp_path, monkeypatch):
    """Run the command; returns its result, and the configuration of the server if it got that far."""
    configs: list[uvicorn.Config] = []
    monkeypatch.setattr(server, "run_workers", lambda config: bool(configs.append(config)) or True)
    for name in ("CRYPTOLIQ_HOME", "CRYPTOLIQ_API__HOST", "CRYPTOLIQ_API__PORT"):
        # The command sets these for its workers; the previous values are restored at the end of the test.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)

    def serve(*words: str, **settings: object):
        prepare_home(make_settings(home_dir=tmp_path))
        variables = {f"CRYPTOLIQ_{name.upper()}": str(value) for name, value in settings.items()}
        result = CliRunner().invoke(cli, ["--home", str(tmp_path), "serve", *words], env=variables)
        return result, configs[-1] if configs else None

    return serve


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org"])
def test_only_loopback_is_accepted_without_keys(serve, host):
    result, config = serve("--host", host)
    assert (result.exit_code, config) == (2, None)
    assert f"at {host} the service would be open to everyone" in " ".join(result.output.split())
    result, config = serve("--host", host, api__keys=hash_key("a"))
    assert (result.exit_code, config.host) == (0, host)


def test_key_instead_of_its_digest_is_rejected_and_hidden(serve):
    result, config = serve(api__keys="my-plain-key")
    assert (result.exit_code, config) == (2, None)
    assert "not a sha256 in hex" in result.output
    assert "my-plain-key" not in result.output


def test_new_key_is_printed_with_its_digest(serve):
    result, config = serve("--new-key")
    assert (result.exit_code, config) == (0, None)
    key = result.output.splitlines()[0].rpartition(" ")[2]
    assert f"CRYPTOLIQ_API__KEYS={hash_key(key)}" in result.output


def test_certificate_without_key_or_file_is_rejected(serve, tmp_path):
    cert = tmp_path / "cert.pem"
    cert.write_text("x")
    result, _ = serve(api__tls_cert=cert)
    assert result.exit_code == 2
    assert "must be set together" in result.output
    result, _ = serve(api__tls_cert=cert, api__tls_key=tmp_path / "absent.pem")
    assert result.exit_code == 2
    assert "is not a file" in result.output


def test_forwarded_headers_are_trusted_only_from_proxies(serve):
    _, config = serve()
    assert (config.proxy_headers, config.forwarded_allow_ips) == (False, "")
    _, config = serve(api__trusted_proxies="10.0.0.7")
    assert (config.proxy_headers, config.forwarded_allow_ips) == (True, "10.0.0.7")


def test_server_logs_no_requests_and_sends_no_server_header(serve):
    _, config = serve("--port", "8123", "--workers", "1")
    assert (config.port, config.workers) == (8123, 1)
    assert (config.access_log, config.server_header) == (False, False)


def test_only_metrics_of_killed_supervisors_are_removed(serve, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    dead, alive = tmp_path / "cryptoliq-metrics-dead", tmp_path / "cryptoliq-metrics-alive"
    for folder in (dead, alive):
        folder.mkdir()
        (folder / "supervisor.lock").touch()
        (folder / "counter_5.db").touch()
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "")
    with FileLock(alive / "supervisor.lock"):
        result, _ = serve("--workers", "2")
        assert result.exit_code == 0, result.output
        assert [path.name for path in tmp_path.glob("cryptoliq-metrics-*")] == [alive.name]


def test_empty_list_of_keys_is_rejected(serve):
    result, config = serve(api__keys=",")
    assert (result.exit_code, config) == (2, None)
    assert "contains no digest" in " ".join(result.output.split())
