"""deploy/compose.yml matches the settings, the image, the proxy and the network of the project."""

import ipaddress
import os
import re
from pathlib import Path

import pytest
import yaml

from cryptoliq_assets.core.config import Settings
from cryptoliq_assets.core.home import prepare_home
from cryptoliq_assets_tests.support.compose_file import (
    CLUSTER_SERVICES,
    COMPOSE,
    OWN_SERVICES,
    dummy_values,
    fill_compose,
    read_compose,
    start_order,
    variable_names,
)
from cryptoliq_assets_tests.support.dockerfile import image_instructions
from cryptoliq_assets_tests.support.paths import ROOT
from cryptoliq_assets_tests.support.settings import make_settings


@pytest.fixture(scope="module")
def compose() -> dict:
    return read_compose()


def test_only_the_proxy_publishes_ports_http_and_https(compose):
    published = {name: service["ports"] for name, service in compose["services"].items() if "ports" in service}
    assert published == {"proxy": ["80:80", "443:443", "443:443/udp"]}
    assert not [name for name, service in compose["services"].items() if service.get("network_mode") == "host"]


def test_every_service_has_a_healthcheck_and_a_pinned_image(compose):
    for name, service in compose["services"].items():
        assert service["healthcheck"]["test"][0] == "CMD", name
        if "build" not in service:
            assert re.search(r":v?\d", service["image"]), name
    assert {"postgres", "prometheus", "grafana", "proxy", *OWN_SERVICES, *CLUSTER_SERVICES} == set(compose["services"])


def test_secrets_are_required_from_the_environment():
    text = COMPOSE.read_text(encoding="utf-8")
    assert set(re.findall(r"\$\{[^}]*\}", text)) == {f"${{{name}:?}}" for name in variable_names()}
    # A compose secret that names a variable would not be checked like this.
    assert "secrets" not in read_compose()
    example = (ROOT / "deploy" / "env.example").read_text(encoding="utf-8")
    named = re.findall(r"^(\w+)=(.*)$", example, flags=re.MULTILINE)
    assert {name for name, _ in named} == variable_names()
    assert {value for _, value in named} == {""}


def environment_of(service: dict, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """Set the environment of a service, with the home of the image moved to a folder."""
    for name in [name for name in os.environ if name.startswith("CRYPTOLIQ_")]:
        monkeypatch.delenv(name)
    for name, value in service["environment"].items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CRYPTOLIQ_HOME", str(home))


def test_each_service_accepts_environment_and_prepared_home(tmp_path, monkeypatch):
    compose = fill_compose(**dummy_values())
    order = [name for name in start_order(compose) if name in OWN_SERVICES]
    assert order[0] == "code"
    for name in order:
        service = compose["services"][name]
        environment_of(service, monkeypatch, tmp_path / "home")
        settings = Settings()
        if service.get("entrypoint") is None:
            # As the entrypoint of the image does: `cryptoliq setup`.
            prepare_home(settings)
            assert settings.postgres_url is not None, name
        else:
            # It must not create the home; the catalog of received files is in the database.
            assert service["entrypoint"] == ["cryptoliq"]
            assert settings.postgres_url is not None, name
    instance = yaml.safe_load((tmp_path / "home" / ".dagster" / "dagster.yaml").read_text(encoding="utf-8"))
    assert "postgres" in instance["storage"]


def test_services_wait_until_the_code_server_created_the_home(compose):
    for name in OWN_SERVICES:
        needs = {"postgres"} if name == "code" else {"code"}
        dependencies = compose["services"][name]["depends_on"]
        assert dependencies == {need: {"condition": "service_healthy"} for need in needs}, name


def test_alert_and_fetch_settings_reach_the_code_server(compose):
    # Sensors and runs are processes of the code server; the file belongs to the user and may be absent.
    cluster = {"path": "./cluster.env", "required": False}
    assert compose["services"]["code"]["env_file"] == [{"path": "./pipeline.env", "required": False}, cluster]
    assert [name for name in OWN_SERVICES if "env_file" in compose["services"][name]] == ["code", "api", "app"]
    # It contains passwords: it must not be in a commit or an image.
    for name in ("api", "app"):
        assert compose["services"][name]["env_file"] == [{"path": "./service.env", "required": False}, cluster]
    assert {"/deploy/pipeline.env", "/deploy/service.env"} <= set(
        (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    )
    assert "deploy" in (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    section = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8").split("## All of it with compose")[1]
    lines = re.findall(r"^(CRYPTOLIQ_\w+)=(\S+)$", section.split("\n## ")[0], flags=re.MULTILINE)
    assert {"CRYPTOLIQ_ALERTS__URLS", "CRYPTOLIQ_COINGECKO__ENABLED", "CRYPTOLIQ_COINGECKO__PLAN"} <= {
        n for n, _ in lines
    }
    make_settings(**{name.removeprefix("CRYPTOLIQ_").lower(): value for name, value in lines})
    assert {name for name, _ in lines} <= set(Settings.variables())


def test_own_services_are_unprivileged_and_mount_the_home(compose):
    for name in OWN_SERVICES:
        service = compose["services"][name]
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["init"] is True
        assert "home:/home/cryptoliq/home" in service["volumes"]
        for variable in service["environment"]:
            assert variable in Settings.variables(), variable
    named = {volume.partition(":")[0] for s in compose["services"].values() for volume in s.get("volumes", [])}
    assert {name for name in named if not name.startswith(".")} == set(compose["volumes"])
    # While a run is active, the code server takes longer to stop than the default of ten seconds in Docker.
    assert compose["services"]["code"]["stop_grace_period"] == "2m"


def test_no_mount_hides_the_compiled_kernels_of_the_image(compose):
    variables = " ".join(rest for kind, rest in image_instructions("") if kind == "ENV")
    cache = re.search(r"NUMBA_CACHE_DIR=(\S+)", variables)[1]
    for name in OWN_SERVICES:
        service = compose["services"][name]
        mount_points = [*(volume.split(":")[1] for volume in service["volumes"]), *service.get("tmpfs", [])]
        assert not [path for path in mount_points if cache.startswith(path.split(":")[0])], name
        # numba ignores a cache folder that it cannot write.
        assert not service.get("read_only"), name


def test_every_file_that_compose_mounts_exists(compose):
    mounted = {
        volume.split(":")[0] for s in compose["services"].values() for volume in s["volumes"] if volume[0] == "."
    }
    assert {"./Caddyfile", "./alerts.yml", "./grafana", "./grafana/provisioning"} <= mounted
    for name in mounted:
        assert (COMPOSE.parent / name).exists(), name


def test_the_proxy_uses_service_ports_and_adds_authentication(compose):
    text = (ROOT / "deploy" / "Caddyfile").read_text(encoding="utf-8")
    sites = dict(re.findall(r"^(\w+)\.\{\$CRYPTOLIQ_DOMAIN\} \{\n(.*?)^\}", text, flags=re.MULTILINE | re.DOTALL))
    targets = {site: re.search(r"reverse_proxy (\S+)", body)[1] for site, body in sites.items()}
    # 3000 is the default port of Grafana.
    assert targets == {"api": "api:8000", "app": "app:8501", "dagster": "webserver:3000", "grafana": "grafana:3000"}
    assert "GF_SERVER_HTTP_PORT" not in compose["services"]["grafana"]["environment"]
    for name in ("api", "app", "webserver"):
        command = compose["services"][name]["command"]
        port = command[command.index("-p" if "-p" in command else "--port") + 1]
        assert f"{name}:{port}" in targets.values()
    authenticated = {site for site, body in sites.items() if "import closed" in body}
    assert authenticated == {"app", "dagster"}


def test_the_trusted_proxy_address_is_reserved_for_the_proxy(compose):
    proxy = compose["services"]["proxy"]["networks"]["inside"]["ipv4_address"]
    assert compose["services"]["api"]["environment"]["CRYPTOLIQ_API__TRUSTED_PROXIES"] == proxy
    (pool,) = compose["networks"]["inside"]["ipam"]["config"]
    subnet, assigned_range = ipaddress.ip_network(pool["subnet"]), ipaddress.ip_network(pool["ip_range"])
    assert assigned_range.subnet_of(subnet)
    assert ipaddress.ip_address(proxy) in subnet
    # It is neither the address of the network nor of its gateway.
    assert ipaddress.ip_address(proxy) not in {*assigned_range, subnet[0], subnet[1]}


def test_grafana_reaches_prometheus_by_its_provisioned_name(compose):
    services = compose["services"]
    for name in ("grafana", "prometheus"):
        assert services[name]["networks"] == ["inside"]
        assert "network_mode" not in services[name]
    folder = ROOT / "deploy" / "grafana" / "provisioning" / "datasources"
    (source,) = yaml.safe_load((folder / "cryptoliq.yml").read_text(encoding="utf-8"))["datasources"]
    assert services["grafana"]["environment"][source["url"].removeprefix("$")] == "http://prometheus:9090"


def test_webserver_and_daemon_use_the_code_server(compose):
    (source,) = yaml.safe_load((ROOT / "deploy" / "workspace.yaml").read_text(encoding="utf-8"))["load_from"]
    command = compose["services"]["code"]["command"]
    assert source["grpc_server"]["host"] == "code"
    assert str(source["grpc_server"]["port"]) == command[command.index("-p") + 1]
    for name in ("webserver", "daemon"):
        assert compose["services"][name]["command"][-2:] == ["-w", "deploy-workspace.yaml"]
        assert "./workspace.yaml:/app/deploy-workspace.yaml:ro" in compose["services"][name]["volumes"]
