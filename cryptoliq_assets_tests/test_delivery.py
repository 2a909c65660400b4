"""Compose, workflows and the Dockerfile, held against their schemas and linters, and against what the project has."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from cryptoliq_assets.cli import _COMMANDS
from cryptoliq_assets.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
COMPOSE = ROOT / "deploy" / "compose.yml"
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
OURS = ("code", "webserver", "daemon", "api", "app")


def run(program: str, *arguments: str | Path) -> subprocess.CompletedProcess:
    """A program that this environment, or one that it stands on, was installed with."""
    folders = [Path(path).parents[2] / "bin" for path in sys.path if path.endswith("site-packages")]
    found = shutil.which(program, path=os.pathsep.join(map(str, folders)))
    assert found, f"{program} is not installed: requirements-dev.txt has it"
    return subprocess.run([found, *arguments], capture_output=True, text=True, cwd=ROOT, timeout=120, check=False)


@pytest.fixture(scope="module")
def compose() -> dict:
    return yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))


# The linters' word, and that they have one.


def test_the_dockerfile_has_nothing_that_hadolint_objects_to(tmp_path):
    done = run("hadolint", "--failure-threshold", "info", ROOT / "Dockerfile")
    assert (done.returncode, done.stdout) == (0, "")
    (tmp_path / "Dockerfile").write_text("FROM python\nRUN cd /tmp && sudo pip install flask\n")
    assert run("hadolint", tmp_path / "Dockerfile").returncode != 0


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_is_one_by_its_schema(path, tmp_path):
    done = run("check-jsonschema", "--builtin-schema", "vendor.github-workflows", path)
    assert done.returncode == 0, done.stdout
    broken = yaml.safe_load(path.read_text(encoding="utf-8"))
    next(iter(broken["jobs"].values()))["runs_on"] = "ubuntu"
    (tmp_path / "broken.yml").write_text(yaml.safe_dump(broken), encoding="utf-8")
    assert run("check-jsonschema", "--builtin-schema", "vendor.github-workflows", tmp_path / "broken.yml").returncode


def test_the_workflows_have_no_hole_that_zizmor_knows(tmp_path):
    asked = ("--offline", "--persona", "pedantic", "--config", ROOT / ".github" / "zizmor.yml", "--format", "json")
    done = run("zizmor", *asked, ROOT / ".github" / "workflows")
    findings = json.loads(done.stdout)
    assert [(found["ident"], found["desc"]) for found in findings if not found.get("ignored")] == []
    assert done.returncode == 0
    text = WORKFLOWS[0].read_text(encoding="utf-8").replace("docker/login-action@v4", "another/login-action@v4")
    (tmp_path / ".github" / "workflows").mkdir(parents=True)
    (tmp_path / ".github" / "workflows" / "ci.yml").write_text(text, encoding="utf-8")
    assert run("zizmor", *asked, tmp_path / ".github" / "workflows" / "ci.yml").returncode != 0


def test_compose_is_one_by_the_schema(compose, tmp_path):
    done = run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", COMPOSE)
    assert done.returncode == 0, done.stdout
    compose["services"]["api"]["port"] = "8000"
    (tmp_path / "broken.yml").write_text(yaml.safe_dump(compose), encoding="utf-8")
    assert run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", tmp_path / "broken.yml").returncode
    del compose["services"]["api"]["port"]


# Compose.


def test_nothing_but_the_proxy_is_published_and_it_takes_http_and_https(compose):
    published = {name: service["ports"] for name, service in compose["services"].items() if "ports" in service}
    assert published == {"proxy": ["80:80", "443:443", "443:443/udp"]}
    assert not [name for name, service in compose["services"].items() if service.get("network_mode") == "host"]


def test_every_service_has_a_healthcheck_and_an_image_with_a_version(compose):
    for name, service in compose["services"].items():
        assert service["healthcheck"]["test"][0] == "CMD", name
        if name not in OURS:
            assert re.search(r":v?\d", service["image"]), name
    assert {"postgres", "prometheus", "grafana", "proxy", *OURS} == set(compose["services"])


def test_secrets_come_from_the_environment_and_none_has_a_default(compose):
    text = COMPOSE.read_text(encoding="utf-8")
    asked = set(re.findall(r"\$\{(\w+)", text)) | {s["environment"] for s in compose["secrets"].values()}
    assert set(re.findall(r"\$\{[^}]*\}", text)) == {f"${{{name}:?}}" for name in asked - {"CRYPTOLIQ_API_KEY"}}
    example = (ROOT / "deploy" / "env.example").read_text(encoding="utf-8")
    named = re.findall(r"^(\w+)=(.*)$", example, flags=re.MULTILINE)
    assert {name for name, _ in named} == asked
    assert {value for _, value in named} == {""}


def test_what_is_ours_runs_without_privileges_on_a_read_only_image_and_keeps_its_home(compose):
    for name in OURS:
        service = compose["services"][name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert "home:/home/cryptoliq/home" in service["volumes"]
        assert service["command"][0] in ("cryptoliq", "dagster", "dagster-webserver", "dagster-daemon")
        for variable in service["environment"]:
            field = variable.removeprefix("CRYPTOLIQ_").lower()
            assert field in Settings.model_fields or field == "postgres_url", variable
    named = {volume.partition(":")[0] for s in compose["services"].values() for volume in s.get("volumes", [])}
    assert {name for name in named if not name.startswith(".")} == set(compose["volumes"])


def test_every_file_that_compose_mounts_is_there(compose):
    mounted = {
        volume.split(":")[0] for s in compose["services"].values() for volume in s["volumes"] if volume[0] == "."
    }
    # Rules and dashboards are the monitor's: they come with it.
    there = {name for name in mounted if name not in ("./alerts.yml", "./grafana", "./grafana/provisioning")}
    assert "./Caddyfile" in there
    for name in there:
        assert (COMPOSE.parent / name).exists(), name


def test_the_proxy_leads_to_ports_that_the_services_listen_on_and_closes_what_asks_nobody(compose):
    text = (ROOT / "deploy" / "Caddyfile").read_text(encoding="utf-8")
    sites = dict(re.findall(r"^(\w+)\.\{\$CRYPTOLIQ_DOMAIN\} \{\n(.*?)^\}", text, flags=re.MULTILINE | re.DOTALL))
    targets = {site: re.search(r"reverse_proxy (\S+)", body)[1] for site, body in sites.items()}
    assert targets == {
        "api": "api:8000",
        "app": "app:8501",
        "dagster": "webserver:3000",
        "grafana": "prometheus:3001",
    }
    assert compose["services"]["grafana"]["network_mode"] == "service:prometheus"
    assert compose["services"]["grafana"]["environment"]["GF_SERVER_HTTP_PORT"] == "3001"
    for name in ("api", "app", "webserver"):
        command = compose["services"][name]["command"]
        port = command[command.index("-p" if "-p" in command else "--port") + 1]
        assert f"{name}:{port}" in targets.values()
    closed = {site for site, body in sites.items() if "import closed" in body}
    assert closed == {"app", "dagster"}
    proxy = compose["services"]["proxy"]["networks"]["inside"]["ipv4_address"]
    assert compose["services"]["api"]["environment"]["CRYPTOLIQ_API_TRUSTED_PROXIES"] == proxy


def test_webserver_and_daemon_ask_the_code_server(compose):
    (source,) = yaml.safe_load((ROOT / "deploy" / "workspace.yaml").read_text(encoding="utf-8"))["load_from"]
    command = compose["services"]["code"]["command"]
    assert source["grpc_server"]["host"] == "code"
    assert str(source["grpc_server"]["port"]) == command[command.index("-p") + 1]
    for name in ("webserver", "daemon"):
        assert compose["services"][name]["command"][-2:] == ["-w", "deploy-workspace.yaml"]
        assert "./workspace.yaml:/app/deploy-workspace.yaml:ro" in compose["services"][name]["volumes"]


# Workflows.


def test_images_are_pushed_and_deployed_from_main_alone_and_after_the_tests():
    (workflow,) = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in WORKFLOWS]
    jobs = workflow["jobs"]
    assert jobs["test"]["strategy"]["matrix"]["python"] == ["3.11", "3.12"]
    assert jobs["image"]["needs"] == "test"
    assert jobs["deploy"]["needs"] == "image"
    for name in ("image", "deploy"):
        assert jobs[name]["if"] == "github.event_name == 'push' && github.ref == 'refs/heads/main'"
        assert jobs[name]["concurrency"]["cancel-in-progress"] is False
    assert workflow["permissions"] == {}
    granted = {name: job["permissions"] for name, job in jobs.items()}
    assert granted == {
        "test": {"contents": "read"},
        "image": {"contents": "read", "id-token": "write"},
        "deploy": {"id-token": "write"},
    }


def test_the_deployed_service_is_closed_and_its_settings_exist():
    (workflow,) = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in WORKFLOWS]
    deploy = workflow["jobs"]["deploy"]["steps"][-1]["with"]
    assert "--no-allow-unauthenticated" in shlex.split(deploy["flags"])
    lines = (deploy["env_vars"] + "\n" + deploy["secrets"]).splitlines()
    names = [line.partition("=")[0] for line in lines if line]
    assert len(names) == 5
    assert {name.removeprefix("CRYPTOLIQ_").lower() for name in names} <= set(Settings.model_fields)
    assert "CRYPTOLIQ_API_KEYS" in deploy["secrets"]


def test_commands_of_the_image_and_of_compose_are_there(compose):
    told = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    said = [line.lstrip("# ").split() for line in told if line.startswith("#   ")]
    for words in [*said, *(compose["services"][name]["command"] for name in OURS)]:
        if words[0] == "cryptoliq":
            assert words[1] in _COMMANDS
    assert len(said) == 6
