"""The image, as far as its Dockerfile tells: nothing it needs is missing, and nothing runs as root."""

import json
import re
import shlex
import tomllib
from importlib.metadata import entry_points

import pytest

from cryptoliq_assets_tests.support.paths import ROOT

TEXT = (ROOT / "Dockerfile").read_text(encoding="utf-8")


def instructions() -> list[tuple[str, str]]:
    """(INSTRUCTION, arguments), continued lines joined, comments dropped."""
    lines = [line for line in TEXT.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [(name.upper(), rest.strip()) for name, _, rest in (line.partition(" ") for line in joined.splitlines())]


def of(name: str) -> list[str]:
    return [rest for found, rest in instructions() if found == name]


def copied() -> list[list[str]]:
    """Sources of each COPY out of the build context."""
    words = [shlex.split(rest) for rest in of("COPY")]
    return [
        [word for word in line[:-1] if not word.startswith("--")]
        for line in words
        if not any(word.startswith("--from=") for word in line)
    ]


def stages() -> list[list[tuple[str, str]]]:
    found: list[list[tuple[str, str]]] = []
    for instruction in instructions():
        if instruction[0] == "FROM":
            found.append([])
        found[-1].append(instruction)
    return found


def named(stage: list[tuple[str, str]]) -> tuple[str, str]:
    """What a stage is made from, and its name ("" for the last)."""
    base, _, name = stage[0][1].partition(" AS ")
    return base, name


def lineage(name: str) -> list[tuple[str, str]]:
    """All instructions of an image, those of the stages that it stands on first."""
    stage = next(stage for stage in stages() if named(stage)[1] == name)
    base = named(stage)[0]
    return (lineage(base) if base in [named(other)[1] for other in stages()] else []) + stage


IMAGES = ["api", ""]


@pytest.mark.parametrize("image", IMAGES)
def test_the_image_runs_as_an_unprivileged_user(image):
    users = [rest for name, rest in lineage(image) if name == "USER"]
    assert users == ["10001"]
    assert any("useradd --create-home --uid 10001 cryptoliq" in rest for name, rest in lineage(image) if name == "RUN")


@pytest.mark.parametrize("image", IMAGES)
def test_no_instruction_changes_files_after_the_user_is_set(image):
    names = [name for name, _ in lineage(image)]
    assert not {"RUN", "COPY", "ADD"} & set(names[names.index("USER") :])


@pytest.mark.parametrize("image", IMAGES)
def test_no_build_tool_is_in_a_runtime_image(image):
    ran = " ".join(rest for name, rest in lineage(image) if name == "RUN")
    assert not re.search(r"pip install|gcc|build-essential|\bgit\b|curl", ran)
    # Python's own image brings these.
    assert "pip uninstall -y wheel setuptools pip" in ran
    assert all(base.startswith("python:3.11-slim") or base in ("base", "build") for base, _ in map(named, stages()))
    # What is copied in has them as little: a virtual environment of Python 3.11 begins with both.
    for name in ("build-all", "build-api"):
        assert "pip uninstall -y setuptools pip" in " ".join(rest for kind, rest in lineage(name) if kind == "RUN")


@pytest.mark.parametrize("image", IMAGES)
def test_each_image_has_a_healthcheck(image):
    checks = [rest for name, rest in lineage(image) if name == "HEALTHCHECK"]
    assert len(checks) == 1
    words = json.loads(checks[0].partition(" CMD ")[2])
    assert words[:2] == ["python", "-c"]
    compile(words[2], "HEALTHCHECK", "exec")


def test_the_images_install_only_pinned_sets_and_the_project():
    runs = of("RUN")
    found = [words for run in runs for words in re.findall(r"pip install ([^&]*)", run)]
    assert sorted(words.strip() for words in found) == [
        "--no-deps .",
        "-r requirements-serve.txt",
        "-r requirements.txt",
    ]


def test_the_service_has_the_package_its_kernels_are_compiled_of():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    carried = [rest for name, rest in lineage("build-api") if name == "COPY" and "--from=build-all" in rest]
    ends = {rest.split()[-1].rpartition("/")[2] for rest in carried}
    assert ends == {"cryptoliq_assets", f"cryptoliq-{project['version']}.dist-info", "cryptoliq"}
    assert any("--from=build-all" in rest and "/build/numba" in rest for name, rest in lineage("base"))


def test_every_copied_path_exists_and_is_not_ignored():
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    for sources in copied():
        for source in sources:
            assert (ROOT / source).exists(), source
            assert source.strip("./") not in ignored


def test_files_for_the_installation_are_copied_before_it():
    place = next(index for index, (name, rest) in enumerate(instructions()) if name == "RUN" and "--no-deps ." in rest)
    before = {word for name, rest in instructions()[:place] if name == "COPY" for word in rest.split()}
    assert {"pyproject.toml", "setup.py", "README.md", "LICENSE", "cryptoliq_assets"} <= before


@pytest.mark.parametrize("command", ["cryptoliq", "dagster-webserver", "dagster-daemon"])
def test_every_command_in_the_dockerfile_is_a_console_script(command):
    assert command in TEXT
    assert command in {script.name for script in entry_points(group="console_scripts")}


def test_the_entrypoint_sets_up_the_home_and_execs_the_command():
    (entrypoint,) = of("ENTRYPOINT")
    assert "cryptoliq setup --quiet && exec" in entrypoint
    (command,) = [rest for name, rest in lineage("") if name == "CMD"]
    assert command.startswith('["dagster-webserver", ')


def test_home_dagster_home_and_caches_are_writable_by_the_user():
    variables = dict(
        pair.split("=", 1) for name, rest in lineage("") if name == "ENV" for pair in shlex.split(rest) if "=" in pair
    )
    assert variables["DAGSTER_HOME"] == variables["CRYPTOLIQ_HOME"] + "/.dagster"
    for name in ("CRYPTOLIQ_HOME", "NUMBA_CACHE_DIR"):
        assert variables[name].startswith("/home/cryptoliq/")
        assert variables[name] in " ".join(of("RUN"))


def test_a_home_in_the_checkout_is_not_in_the_build_context():
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert {".git", ".venv", ".env", "data", "models", "reports", "logs", ".dagster"} <= set(ignored)
