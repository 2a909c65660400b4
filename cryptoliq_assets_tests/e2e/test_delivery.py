"""Compose file, workflows and Dockerfile pass their schemas and linters, and match the project."""

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import yaml

from cryptoliq_assets.cli.main import COMMANDS
from cryptoliq_assets.core.config import Settings
from cryptoliq_assets_tests.support.compose_file import COMPOSE, OWN_SERVICES, read_compose
from cryptoliq_assets_tests.support.paths import ROOT
from cryptoliq_assets_tests.support.unprivileged import UNPRIVILEGED_ID, run_unprivileged

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def run(program: str, *arguments: str | Path) -> subprocess.CompletedProcess:
    """Run a program that is installed in this environment or in one that it extends."""
    folders = [Path(path).parents[2] / "bin" for path in sys.path if path.endswith("site-packages")]
    path = shutil.which(program, path=os.pathsep.join(map(str, folders)))
    assert path, f"{program} is not installed: requirements-dev.txt has it"
    return subprocess.run([path, *arguments], capture_output=True, text=True, cwd=ROOT, timeout=120, check=False)


@pytest.fixture(scope="module")
def compose() -> dict:
    return read_compose()


# Linters, and that they report errors


def test_the_dockerfile_passes_hadolint(tmp_path):
    done = run("hadolint", "--failure-threshold", "info", ROOT / "Dockerfile")
    assert (done.returncode, done.stdout) == (0, "")
    (tmp_path / "Dockerfile").write_text("FROM python\nRUN cd /tmp && sudo pip install flask\n")
    assert run("hadolint", tmp_path / "Dockerfile").returncode != 0


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_each_workflow_is_valid_by_its_schema(path, tmp_path):
    done = run("check-jsonschema", "--builtin-schema", "vendor.github-workflows", path)
    assert done.returncode == 0, done.stdout
    broken = yaml.safe_load(path.read_text(encoding="utf-8"))
    next(iter(broken["jobs"].values()))["runs_on"] = "ubuntu"
    (tmp_path / "broken.yml").write_text(yaml.safe_dump(broken), encoding="utf-8")
    assert run("check-jsonschema", "--builtin-schema", "vendor.github-workflows", tmp_path / "broken.yml").returncode


def test_the_workflows_pass_zizmor(tmp_path):
    options = ("--offline", "--persona", "pedantic", "--config", ROOT / ".github" / "zizmor.yml", "--format", "json")
    done = run("zizmor", *options, ROOT / ".github" / "workflows")
    findings = json.loads(done.stdout)
    assert [(finding["ident"], finding["desc"]) for finding in findings if not finding.get("ignored")] == []
    assert done.returncode == 0
    text = WORKFLOWS[0].read_text(encoding="utf-8").replace("docker/login-action@v4", "another/login-action@v4")
    (tmp_path / ".github" / "workflows").mkdir(parents=True)
    (tmp_path / ".github" / "workflows" / "ci.yml").write_text(text, encoding="utf-8")
    assert run("zizmor", *options, tmp_path / ".github" / "workflows" / "ci.yml").returncode != 0


def test_the_compose_file_is_valid_by_its_schema(compose, tmp_path):
    done = run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", COMPOSE)
    assert done.returncode == 0, done.stdout
    compose["services"]["api"]["port"] = "8000"
    (tmp_path / "broken.yml").write_text(yaml.safe_dump(compose), encoding="utf-8")
    assert run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", tmp_path / "broken.yml").returncode
    del compose["services"]["api"]["port"]


def complete_command(service: dict) -> list[str]:
    """Return the command of a container, with the entrypoint that replaces the one of the image, if any."""
    return [*service.get("entrypoint", []), *service["command"]]


# Workflows


def test_images_are_pushed_only_from_main_after_the_tests():
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


def test_both_images_are_built_in_one_job_with_a_shared_cache():
    (workflow,) = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in WORKFLOWS]
    job = workflow["jobs"]["image"]
    assert "strategy" not in job
    builds = [step["with"] for step in job["steps"] if step.get("uses", "").startswith("docker/build-push-action@")]
    assert [build.get("target", "") for build in builds] == ["", "api"]
    assert {build["cache-from"] for build in builds} == {"type=gha"}
    # The stages of `api` include all stages of the other image; two exports to one scope would overwrite each other.
    assert [build.get("cache-to") for build in builds] == [None, "type=gha,mode=max"]
    deployed = workflow["jobs"]["deploy"]["steps"][-1]["with"]["image"]
    assert builds[1]["tags"].replace("${{ env.REGISTRY }}", job["env"]["REGISTRY"]) == deployed


def test_tests_run_as_the_owner_of_checkout_and_pip_cache():
    (workflow,) = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in WORKFLOWS]
    steps = workflow["jobs"]["test"]["steps"]
    assert steps[1]["with"]["cache"] == "pip"
    # pip as root would leave that cache empty, and saving it would fail the job.
    assert steps[-1]["run"] == ".ci/run"


@pytest.mark.parametrize("has_sudo", [True, False])
def test_ci_uses_sudo_only_to_install_debian_packages(has_sudo):
    programs = {
        "sudo": 'echo "sudo $*" >> log; exec "$@"',
        "apt-get": 'echo "apt-get $1" >> log; if [[ $1 == install ]]; then : > installed; fi',
        # The next step of the script, beside the installation; the script ends here.
        "make": 'until [[ -f installed ]]; do :; done; echo "make as $(id -u)" >> log; exit 3',
    }
    with tempfile.TemporaryDirectory(prefix="ci-") as name:
        folder = Path(name)
        shutil.copytree(ROOT / ".ci", folder / ".ci")
        for path in (folder, folder / ".ci"):
            path.chmod(0o777)
        for program, body in programs.items():
            if program != "sudo" or has_sudo:
                (folder / program).write_text(f"#!/bin/bash\n{body}\n", encoding="utf-8")
                (folder / program).chmod(0o755)
        for program in ("bash", "dirname", "env", "id"):
            (folder / program).symlink_to(shutil.which(program))
        done = subprocess.run(
            [*run_unprivileged(), "/bin/bash", folder / ".ci" / "run"],
            env={"PATH": name},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 3, done.stderr
        first, *_, last = (folder / "log").read_text(encoding="utf-8").splitlines()
        assert first == ("sudo apt-get update -q" if has_sudo else "apt-get update")
        user = UNPRIVILEGED_ID if not os.geteuid() else os.geteuid()
        assert last == f"make as {user}"


def test_dependabot_knows_every_pinned_file():
    path = ROOT / ".github" / "dependabot.yml"
    done = run("check-jsonschema", "--builtin-schema", "vendor.dependabot", path)
    assert done.returncode == 0, done.stdout
    updates = yaml.safe_load(path.read_text(encoding="utf-8"))["updates"]
    directories = {each["package-ecosystem"]: each["directory"] for each in updates}
    assert directories == {"github-actions": "/", "docker": "/", "docker-compose": "/deploy", "pip": "/"}


def test_the_deployed_service_is_private_and_its_settings_exist():
    (workflow,) = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in WORKFLOWS]
    deploy = workflow["jobs"]["deploy"]["steps"][-1]["with"]
    assert "--no-allow-unauthenticated" in shlex.split(deploy["flags"])
    lines = (deploy["env_vars"] + "\n" + deploy["secrets"]).splitlines()
    names = [line.partition("=")[0] for line in lines if line]
    assert len(names) == 5
    assert set(names) <= set(Settings.variables())
    assert "CRYPTOLIQ_API__KEYS" in deploy["secrets"]


def test_commands_of_image_and_compose_exist(compose):
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    documented = [line.lstrip("# ").split() for line in lines if line.startswith("#   ")]
    for words in [*documented, *(complete_command(compose["services"][name]) for name in OWN_SERVICES)]:
        assert words[0] in ("cryptoliq", "dagster", "dagster-webserver", "dagster-daemon")
        if words[0] == "cryptoliq":
            assert words[1] in COMMANDS
    assert len(documented) == 6
