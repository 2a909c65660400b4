"""The shell blocks of README and docs work: each runs unchanged in bash, with its own home.

The blocks of a section run in order, each in its own shell, in a folder that represents the clone. Commands that cannot
run in a test are listed with the reason (`shell_blocks.NOT_RUN`); the rest of their block runs nevertheless, and so do
blocks that are added later.
"""

import configparser
import os
import re
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from cryptoliq_assets.core.atomic_write import write_file
from cryptoliq_assets_tests.support.code_blocks import BLOCKS, SHELL_LANGUAGE, Block, commands_in
from cryptoliq_assets_tests.support.paths import ROOT
from cryptoliq_assets_tests.support.postgres import PASSWORD, Postgres, run_postgres
from cryptoliq_assets_tests.support.shell_blocks import (
    ENDING,
    IN_BLOCKS,
    LONG_LIVED,
    LONG_LIVED_BLOCKS,
    NOT_RUN,
    ON_POSTGRES,
    SECTIONS,
    SHELL,
    ShellSandbox,
    is_long_lived,
    is_service_request,
    starts,
)


@pytest.fixture
def sandbox(tmp_path, trained_home) -> ShellSandbox:
    return ShellSandbox(tmp_path, trained_home)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def modes(folder: Path) -> set[int]:
    return {mode(path) for path in [folder, *folder.rglob("*")] if not path.is_symlink()}


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# Sections with their own test, which checks the effects.
CHECKED = {("operations.md", "File permissions"), ("operations.md", "Backup and restore")}


@pytest.mark.parametrize(("page", "section"), sorted(set(SECTIONS) - CHECKED))
def test_the_blocks_of_a_section_run_unchanged(page, section, sandbox):
    for block in ENDING:
        if (block.page, block.section) == (page, section):
            sandbox.paste(block, repeats=False)


def section(name: str) -> list[Block]:
    return [block for block in ENDING if (block.page, block.section) == ("operations.md", name)]


def test_blocks_on_permissions_set_the_stated_permissions(sandbox):
    private, group_reads, group_drops = section("File permissions")
    sandbox.home.chmod(0o755)
    sandbox.paste(private)
    assert modes(sandbox.home) <= {0o700, 0o600}
    sandbox.paste(group_reads)
    assert modes(sandbox.home) <= {0o750, 0o640}
    # Files written later as well.
    later = sandbox.home / "data" / "raw" / "later.csv"
    write_file(later, b"")
    assert mode(later) == 0o640
    sandbox.paste(group_drops)
    assert [mode(sandbox.home / part) for part in (".", "data", "data/raw", "models")] == [0o710, 0o710, 0o770, 0o700]


def test_blocks_on_backup_restore_an_equal_home(sandbox):
    backup, restore, online_backup = section("Backup and restore")
    before = files(sandbox.home)
    sandbox.paste(backup)
    assert mode(sandbox.clone / "market.tar.gz") == 0o600
    sandbox.paste(restore)
    backed_up = {
        name for name in before if name.startswith(("data/archive/", "data/ingested/", "models/", "data/forecasts/"))
    }
    after = files(sandbox.clone / "restored")
    assert backed_up
    assert {name: after.get(name) for name in backed_up} == {name: before[name] for name in backed_up}
    assert modes(sandbox.clone / "restored" / "models") <= {0o700, 0o600}

    sandbox.paste(online_backup)
    copied = files(sandbox.clone / "copy")
    assert {name for name, content in before.items() if copied.get(name) != content} <= {"data/catalogue.sqlite"}
    pointers = [home / "models" / "current.pkl" for home in (sandbox.home, sandbox.clone / "copy")]
    assert pointers[0].is_symlink() == pointers[1].is_symlink()
    with sqlite3.connect(sandbox.clone / "copy" / "data" / "catalogue.sqlite") as catalog:
        assert catalog.execute("SELECT count(*) FROM files WHERE state = 'accepted'").fetchone()[0] == 90


def test_long_lived_commands_start_serve_and_stop(sandbox):
    assert {starts(commands_in(block.lines[-1])[0], LONG_LIVED) for block in LONG_LIVED_BLOCKS} == set(LONG_LIVED)
    sandbox.paste(next(block for block in ENDING if block.section == "Running it"))
    with ExitStack() as stack:
        for wait in [stack.enter_context(sandbox.started(block)) for block in LONG_LIVED_BLOCKS]:
            wait()
        responses = [sandbox.paste(block) for block in SHELL if is_service_request(block)]
    assert responses
    assert all('"liquidity_score"' in response for response in responses)


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    with run_postgres() as server:
        yield server


def test_blocks_on_postgres_create_dump_and_restore_a_database(sandbox, postgres):
    passwords = sandbox.user / ".pgpass"
    known = [("postgres", PASSWORD.replace(":", "\\:")), ("cryptoliq", "PASSWORD")]
    passwords.write_text("".join(f"127.0.0.1:*:*:{user}:{word}\n" for user, word in known), encoding="utf-8")
    passwords.chmod(0o600)
    shutil.rmtree(sandbox.home / ".dagster", ignore_errors=True)
    for block in ON_POSTGRES:
        sandbox.paste(
            block,
            replaced={"db.example:5432": f"127.0.0.1:{postgres.port}", "db.example": "127.0.0.1"},
            PATH=f"{sandbox.environment()['PATH']}{os.pathsep}{postgres.programs}",
            PGPORT=str(postgres.port),
            PGPASSFILE=str(passwords),
        )
    assert (sandbox.clone / "cryptoliq.dump").stat().st_size
    assert "CRYPTOLIQ_POSTGRES_URL" in (sandbox.home / ".dagster" / "dagster.yaml").read_text(encoding="utf-8")


# The blocks of CONTRIBUTING.md are files and entries of the package: `test_recipes.py` applies them to a copy of it.
@pytest.mark.parametrize(
    "block",
    [block for block in BLOCKS if block.language == "python" and block.page != "contributing.md"],
    ids=lambda block: block.section,
)
def test_python_blocks_run_in_a_home(block, trained_home):
    subprocess.run([sys.executable, "-c", block.text], cwd=trained_home.path, check=True, capture_output=True)


def test_the_systemd_unit_starts_a_documented_command():
    (block,) = [block for block in BLOCKS if block.language == "ini"]
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # names in systemd units are case-sensitive
    unit.read_string(block.text)
    assert commands_in(unit["Service"]["ExecStart"])[0] in [
        commands_in(lived.lines[-1])[0] for lived in LONG_LIVED_BLOCKS
    ]


def test_every_block_has_a_language_with_a_test():
    assert {block.language for block in BLOCKS} <= {SHELL_LANGUAGE, "python", "ini", "yaml", "text"}


def test_the_run_launcher_on_kubernetes_is_valid_yaml():
    (block,) = [block for block in BLOCKS if block.language == "yaml"]
    launcher = yaml.safe_load(block.text)["run_launcher"]
    assert (launcher["module"], launcher["class"]) == ("dagster_k8s", "K8sRunLauncher")
    manifest = list(yaml.safe_load_all((ROOT / "deploy" / "kubernetes.yml").read_text(encoding="utf-8")))
    names = {(part["kind"], part["metadata"]["name"]) for part in manifest}
    config = launcher["config"]
    assert {("ConfigMap", name) for name in config["env_config_maps"]} <= names
    assert ("Namespace", config["job_namespace"]) in names


def test_a_long_lived_command_is_the_last_of_its_block():
    for block in SHELL:
        assert not any(is_long_lived(line) for line in block.lines[:-1]), block.text


def test_excluded_commands_are_documented_and_their_tests_exist():
    shown = {starts(command, NOT_RUN) for command in IN_BLOCKS}
    assert set(NOT_RUN) <= shown
    named = re.findall(r"test_\w+\.py", " ".join(NOT_RUN.values()))
    existing = {path.name for path in (ROOT / "cryptoliq_assets_tests").rglob("test_*.py")}
    assert set(named) <= existing


# First words of inline code or lines of blocks that are no commands, although programs of these names exist.
WORDS = ("GET", "POST", "HEAD", "the", "models", "fetch", "docker", "gcloud", "git", "dc", "make", "rsync", "psql")


@pytest.fixture
def installed_words(tmp_path, monkeypatch) -> Path:
    """Put programs with these names first on the PATH; the returned folder has a file for each program that was run."""
    folder, ran = tmp_path / "words", tmp_path / "ran"
    folder.mkdir()
    ran.mkdir()
    for word in WORDS:
        (folder / word).write_text(f'#!/bin/sh\necho "$@" > "{ran}/{word}"\nexit 7\n', encoding="utf-8")
        (folder / word).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return ran


def test_programs_named_like_words_of_the_docs_have_no_effect(installed_words, sandbox):
    read = (
        "from cryptoliq_assets_tests.support import shell_blocks as blocks; "
        "print([blocks.SHELL, blocks.LONG_LIVED_BLOCKS, blocks.ENDING, blocks.SECTIONS])"
    )
    run = subprocess.run([sys.executable, "-c", read], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == str([SHELL, LONG_LIVED_BLOCKS, ENDING, SECTIONS])
    script = "".join(f"! command -v {word}\n" for word in WORDS)
    sandbox.paste(Block("page", "section", SHELL_LANGUAGE, script + "chmod 700 .\ncryptoliq --version\n"))
    assert list(installed_words.iterdir()) == []


def test_only_blocks_marked_as_shell_are_run():
    assert {block.language for block in [*SHELL, *LONG_LIVED_BLOCKS, *ENDING, *ON_POSTGRES]} == {SHELL_LANGUAGE}
