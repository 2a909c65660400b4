"""The image, as far as its Dockerfile tells: nothing it needs is missing, and nothing runs as root."""

import re
import shlex
from importlib.metadata import entry_points
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
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


def last_stage() -> list[tuple[str, str]]:
    found = instructions()
    start = max(index for index, (name, _) in enumerate(found) if name == "FROM")
    return found[start:]


def test_the_last_user_is_a_plain_one_that_the_image_makes():
    users = [rest for name, rest in last_stage() if name == "USER"]
    assert users
    assert users[-1] not in ("root", "0")
    assert any(f"useradd --create-home --uid 10001 {users[-1]}" in rest for name, rest in last_stage() if name == "RUN")


def test_nothing_is_made_as_root_after_the_user_changed():
    names = [name for name, _ in last_stage()]
    assert "RUN" not in names[names.index("USER") :]


def test_the_image_installs_the_pinned_set_and_the_project_without_any_other():
    runs = of("RUN")
    assert any("pip install -r requirements.txt" in run for run in runs)
    assert any("pip install --no-deps ." in run for run in runs)
    assert not [
        run for run in runs if "pip install" in run and "-r requirements.txt" not in run and "--no-deps" not in run
    ]


def test_every_path_that_is_copied_exists_and_is_not_ignored():
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    for sources in copied():
        for source in sources:
            assert (ROOT / source).exists(), source
            assert source.strip("./") not in ignored


def test_what_setup_needs_is_copied_before_the_project_is_installed():
    place = next(index for index, (name, rest) in enumerate(instructions()) if name == "RUN" and "--no-deps ." in rest)
    before = {word for name, rest in instructions()[:place] if name == "COPY" for word in rest.split()}
    assert {"pyproject.toml", "setup.py", "README.md", "cryptoliq_assets"} <= before


@pytest.mark.parametrize("command", ["cryptoliq", "dagster-webserver", "dagster-daemon"])
def test_every_command_that_the_image_runs_or_names_is_a_console_script(command):
    assert command in TEXT
    assert command in {script.name for script in entry_points(group="console_scripts")}


def test_the_entrypoint_sets_the_home_up_and_hands_over_to_the_command():
    (entrypoint,) = of("ENTRYPOINT")
    assert "cryptoliq setup --quiet && exec" in entrypoint
    (command,) = of("CMD")
    assert command.startswith('["dagster-webserver", ')


def test_home_dagster_home_and_caches_lie_where_the_user_may_write():
    variables = dict(
        pair.split("=", 1) for name, rest in last_stage() if name == "ENV" for pair in shlex.split(rest) if "=" in pair
    )
    assert variables["DAGSTER_HOME"] == variables["CRYPTOLIQ_HOME"] + "/.dagster"
    for name in ("CRYPTOLIQ_HOME", "NUMBA_CACHE_DIR"):
        assert variables[name].startswith("/home/cryptoliq/")
        assert variables[name] in " ".join(of("RUN"))


def test_a_home_kept_in_the_checkout_is_not_sent_to_the_builder():
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert {".git", ".venv", "data", "models", "reports", ".dagster"} <= set(ignored)
