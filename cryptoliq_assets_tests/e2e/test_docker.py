"""The Dockerfile: it copies all files that the image needs, and no image runs as root."""

import json
import re
import shlex
import tomllib
from importlib.metadata import entry_points

import pytest

from cryptoliq_assets_tests.support.dockerfile import (
    TEXT,
    arguments_of,
    base_and_name,
    copied_sources,
    image_instructions,
    instructions,
    stages,
)
from cryptoliq_assets_tests.support.paths import ROOT

IMAGES = ["api", ""]


@pytest.mark.parametrize("image", IMAGES)
def test_the_image_runs_as_an_unprivileged_user(image):
    users = [rest for name, rest in image_instructions(image) if name == "USER"]
    assert users == ["10001"]
    assert any(
        "useradd --create-home --uid 10001 cryptoliq" in rest
        for name, rest in image_instructions(image)
        if name == "RUN"
    )


@pytest.mark.parametrize("image", IMAGES)
def test_no_instruction_changes_files_after_the_user_is_set(image):
    names = [name for name, _ in image_instructions(image)]
    assert not {"RUN", "COPY", "ADD"} & set(names[names.index("USER") :])


@pytest.mark.parametrize("image", IMAGES)
def test_no_build_tool_is_in_a_runtime_image(image):
    ran = " ".join(rest for name, rest in image_instructions(image) if name == "RUN")
    assert not re.search(r"pip install|gcc|build-essential|\bgit\b|curl", ran)
    # The base image of Python contains these.
    assert "pip uninstall -y wheel setuptools pip" in ran
    assert all(
        base.startswith("python:3.11-slim") or base in ("base", "build") for base, _ in map(base_and_name, stages())
    )
    # The copied virtual environments must not contain them either: one of Python 3.11 starts with both.
    for name in ("build-all", "build-api"):
        assert "pip uninstall -y setuptools pip" in " ".join(
            rest for kind, rest in image_instructions(name) if kind == "RUN"
        )


@pytest.mark.parametrize("image", IMAGES)
def test_each_image_has_a_healthcheck(image):
    checks = [rest for name, rest in image_instructions(image) if name == "HEALTHCHECK"]
    assert len(checks) == 1
    words = json.loads(checks[0].partition(" CMD ")[2])
    assert words[:2] == ["python", "-c"]
    compile(words[2], "HEALTHCHECK", "exec")


def test_the_images_install_only_pinned_sets_and_the_project():
    runs = arguments_of("RUN")
    commands = [words for run in runs for words in re.findall(r"pip install ([^&]*)", run)]
    assert sorted(words.strip() for words in commands) == [
        "--no-deps .",
        "-r requirements-serve.txt",
        "-r requirements.txt",
    ]


def test_the_service_has_the_package_its_kernels_are_compiled_of():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    copied = [rest for name, rest in image_instructions("build-api") if name == "COPY" and "--from=build-all" in rest]
    ends = {rest.split()[-1].rpartition("/")[2] for rest in copied}
    assert ends == {"cryptoliq_assets", f"cryptoliq-{project['version']}.dist-info", "cryptoliq"}
    assert any("--from=build-all" in rest and "/build/numba" in rest for name, rest in image_instructions("base"))


def test_every_copied_path_exists_and_is_not_ignored():
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    for sources in copied_sources():
        for source in sources:
            assert (ROOT / source).exists(), source
            assert source.strip("./") not in ignored


def test_files_for_the_installation_are_copied_before_it():
    position = next(
        index for index, (name, rest) in enumerate(instructions()) if name == "RUN" and "--no-deps ." in rest
    )
    before = {word for name, rest in instructions()[:position] if name == "COPY" for word in rest.split()}
    assert {"pyproject.toml", "setup.py", "README.md", "LICENSE", "cryptoliq_assets"} <= before


@pytest.mark.parametrize("command", ["cryptoliq", "dagster-webserver", "dagster-daemon"])
def test_every_command_in_the_dockerfile_is_a_console_script(command):
    assert command in TEXT
    assert command in {script.name for script in entry_points(group="console_scripts")}


def test_the_entrypoint_sets_up_the_home_and_execs_the_command():
    (entrypoint,) = arguments_of("ENTRYPOINT")
    assert "cryptoliq setup --quiet && exec" in entrypoint
    (command,) = [rest for name, rest in image_instructions("") if name == "CMD"]
    assert command.startswith('["dagster-webserver", ')


def test_home_dagster_home_and_caches_are_writable_by_the_user():
    variables = dict(
        pair.split("=", 1)
        for name, rest in image_instructions("")
        if name == "ENV"
        for pair in shlex.split(rest)
        if "=" in pair
    )
    assert variables["DAGSTER_HOME"] == variables["CRYPTOLIQ_HOME"] + "/.dagster"
    for name in ("CRYPTOLIQ_HOME", "NUMBA_CACHE_DIR"):
        assert variables[name].startswith("/home/cryptoliq/")
        assert variables[name] in " ".join(arguments_of("RUN"))


def test_a_home_in_the_checkout_is_not_in_the_build_context():
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert {".git", ".venv", ".env", "data", "models", "reports", "logs", ".dagster"} <= set(ignored)
