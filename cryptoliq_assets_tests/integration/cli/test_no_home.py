"""A folder that is no home: every command that works on one says so with exit code 2, and creates nothing."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from cryptoliq_assets.cli import main

# Those that make a home, or that need none.
WITHOUT = {"setup", "demo", "simulate", "validate", "materialize"}


def leaves(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from leaves(command, (*path, name))
        else:
            yield (*path, name), command


PROBLEMS = {
    "absent": "does not exist",
    "a file": "is not a folder",
    "empty": "was never set up",
    "of files": "was never set up",
}
COMMANDS = {path: command for path, command in leaves(main.cli) if path[0] not in WITHOUT}


def words_for(command: click.Command, file: Path) -> list[str]:
    """The arguments and options that the command cannot do without."""
    words = []
    for parameter in command.params:
        if not parameter.required:
            continue
        if isinstance(parameter.type, click.Choice):
            value = parameter.type.choices[0]
        else:
            value = "1" if isinstance(parameter.type, (click.FloatRange, click.IntRange)) else str(file)
        words += [value] if isinstance(parameter, click.Argument) else [parameter.opts[0], value]
    return words


def test_the_commands_that_need_a_home_are_all_but_five():
    assert {("status",), ("monitor",), ("models", "rollback"), ("alerts", "close"), ("fetch", "history")} <= set(
        COMMANDS
    )


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("folder", ["absent", "empty", "of files", "a file"])
def test_a_folder_that_is_no_home_is_exit_code_2_and_stays_as_it_is(tmp_path, capsys, monkeypatch, path, folder):
    file = tmp_path / "given.csv"
    file.write_text("coin,price\n", encoding="utf-8")
    home = tmp_path / "mistyped"
    if folder == "a file":
        home.write_text("no folder", encoding="utf-8")
    elif folder != "absent":
        home.mkdir()
    if folder == "of files":
        (home / "data").mkdir()
    before = sorted(tmp_path.rglob("*"))
    # As cron names it: the option refuses a file before the command does.
    monkeypatch.setenv("CRYPTOLIQ_HOME", str(home))
    monkeypatch.setattr(sys, "argv", ["cryptoliq", *path, *words_for(COMMANDS[path], file)])
    with pytest.raises(SystemExit) as end:
        main.main()
    told = " ".join(capsys.readouterr().err.split())
    assert end.value.code == 2
    assert f"{home} {PROBLEMS[folder]}" in told
    assert "cryptoliq --home" in told
    assert sorted(tmp_path.rglob("*")) == before


def test_a_home_that_may_not_be_read_is_exit_code_2(tmp_path, capsys, monkeypatch):
    def denies(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", denies)
    monkeypatch.setattr(sys, "argv", ["cryptoliq", "--home", str(tmp_path), "monitor"])
    with pytest.raises(SystemExit) as end:
        main.main()
    assert end.value.code == 2
    assert f"{tmp_path} cannot be read (Permission denied)" in " ".join(capsys.readouterr().err.split())
