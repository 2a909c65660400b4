"""Every command in the documentation is accepted by its program: name, subcommand, options, arguments.

The parser of the command reads it without running it: test_docs_blocks.py runs the blocks, and other tests check
what the commands do.
"""

import re
import shlex
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import click
import pytest
import yaml

from cryptoliq_assets.cli.main import cli
from cryptoliq_assets_tests.support.code_blocks import BLOCKS, PAGES, SHELL_LANGUAGE, blocks_of, inline_of
from cryptoliq_assets_tests.support.paths import ROOT

# Optional and repeated parts of a usage line.
_BRACKETS = re.compile(r"\[([^\]]*)\]")
# Text before `cryptoliq`: variables, the name of an image, or a compose service.
_BEFORE = re.compile(
    r"\s*(?:(?:export )?[A-Z_]+=\S*\s+|docker run .* cryptoliq |(?:dc|docker compose .*) (?:exec|run) (?:-\S+ )*\w+ )*(?:\S*/)?cryptoliq(\s+.+)?$"
)
_COMPOSE = re.compile(r"^(?:dc|docker compose .*-f deploy/compose\.yml) (stop|logs|exec|run|cp|up)\b(.*)")


def code_of(page: Path) -> list[str]:
    """Return the lines of code blocks, and each piece of inline code."""
    return [line for block in blocks_of(page) for line in block.lines] + inline_of(page)


def commands_of(page: Path) -> list[str]:
    """Return the arguments of `cryptoliq` up to a comment or the next command of the line; usage lines with all optional parts."""
    lines = []
    for piece in code_of(page):
        line = re.split(r"\s#\s", piece)[0]
        for part in re.split(r"&&|;|\||&\s*$", line):
            words = _BEFORE.match(part)
            if words and words[1] and "dagster-daemon" not in words[1]:
                lines.append(_BRACKETS.sub(r"\1", words[1]).replace("…", "").strip())
    return lines


def table_of_commands() -> list[str]:
    """Return the first column of the command table in the README, as usage lines."""
    rows = (ROOT / "README.md").read_text(encoding="utf-8").split("## Commands")[1].split("Exit codes")[0].splitlines()
    cells = [row.split("|")[1] for row in rows if row.startswith("| `")]
    return [_BRACKETS.sub(r"\1", usage).replace("…", "") for cell in cells for usage in cell.split("`")[1::2]]


DOCUMENTED = sorted(
    {*table_of_commands(), *(line for page in PAGES for line in commands_of(page))} - {"COMMAND --help"}
)


def parse(line: str) -> str:
    """Return the name of the last (sub)command of a line; raise UsageError for invalid arguments."""
    for placeholder, value in (("YYYY-MM", "2025-07"), ("KIND", "feed_frozen"), ("--hours N", "--hours 24")):
        line = line.replace(placeholder, value)
    command, words, name = cli, shlex.split(line), "cryptoliq"
    while isinstance(command, click.Group):
        assert words, f"`{name}` requires a subcommand"
        name = words.pop(0)
        subcommand = command.get_command(click.Context(command), name)
        assert subcommand is not None, f"there is no command `{name}`"
        command = subcommand
    if words or name not in NAMED_WITHOUT_ARGUMENTS:
        command.make_context(name, words)
    return name


# Mentioned in prose by name, without arguments.
NAMED_WITHOUT_ARGUMENTS = {"predict", "validate"}


@pytest.mark.parametrize("line", DOCUMENTED)
def test_a_documented_command_is_accepted_by_its_parser(line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("FILE", "FILES", "IN.csv", "MODEL.pkl", "model.pkl", "rows.parquet"):
        (tmp_path / name).write_text("coin\n", encoding="utf-8")
    for name in ("D", "A", "FOLDER"):
        (tmp_path / name).mkdir()
    parse(line)


def test_commands_are_found_in_blocks_inline_code_and_table():
    assert {"serve --workers 2 --port 9000", "models rollback --reason 'forecasts drift'"} <= set(DOCUMENTED)
    assert {"alerts list", "serve --new-key"} <= set(commands_of(ROOT / "docs" / "operations.md"))
    assert {"materialize --from YYYY-MM --to YYYY-MM --train", "predict IN.csv OUT.csv"} <= set(DOCUMENTED)


@pytest.mark.parametrize("line", ["serve --new-keys", "models restore", "status --json extra", "models rollback --to"])
def test_invalid_arguments_are_reported(line):
    with pytest.raises((click.UsageError, AssertionError)):
        parse(line)


def test_documented_python_modules_and_scripts_exist():
    named = {piece for page in PAGES for piece in code_of(page) if re.match(r"(\S*/)?python3? ", piece)}
    modules = {match[1] for piece in named if (match := re.search(r" -m ((?:cryptoliq|tools)\S+)", piece))}
    scripts = {match[1] for piece in named if (match := re.match(r"\S+ (\S+\.py)\b", piece))}
    assert {"tools.data_contracts", "benchmarks/faults.py"} <= modules | scripts
    assert all(find_spec(name) for name in modules)
    assert all((ROOT / name).is_file() for name in scripts)


def test_documented_make_targets_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {match[1] for page in PAGES for piece in code_of(page) if (match := re.match(r"make ([a-z-]+)", piece))}
    assert {"demo", "test"} <= named <= targets


def test_services_in_documented_compose_commands_exist():
    services = set(yaml.safe_load((ROOT / "deploy" / "compose.yml").read_text(encoding="utf-8"))["services"])
    seen = set()
    for line in (line for block in BLOCKS for line in block.lines if block.language == SHELL_LANGUAGE):
        match = _COMPOSE.match(re.split(r"\s#\s", line)[0])
        if match is None:
            continue
        command, words = match[1], match[2].split()
        if command == "cp":
            named = [word.partition(":")[0] for word in words if ":" in word]
        else:
            # Words without a dash, except values of options; for exec and run the first is the service, the rest its command.
            free = [word for before, word in pairwise(["", *words]) if word[0] != "-" and before not in _WITH_A_VALUE]
            named = free[:1] if command in ("exec", "run") else free
        assert set(named) <= services, line
        seen |= set(named)
    assert {"code", "daemon", "api", "postgres"} <= seen


# Options of compose with a value.
_WITH_A_VALUE = {"--since", "--entrypoint", "-f"}
