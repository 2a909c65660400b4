"""A folder that is no data directory: each command that needs one exits with code 2 and creates nothing."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from cryptoliq_assets.cli import main

# Commands that create a data directory, or need none.
NEED_NO_HOME = {"setup", "demo", "simulate", "validate", "materialize", "cluster"}


def list_commands_of(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from list_commands_of(command, (*path, name))
        else:
            yield (*path, name), command


PROBLEMS = {
    "absent": "does not exist",
    "a file": "is not a folder",
    "empty": "was never set up",
    "of files": "was never set up",
}
COMMANDS = {path: command for path, command in list_commands_of(main.cli) if path[0] not in NEED_NO_HOME}


def words_for(command: click.Command, file: Path) -> list[str]:
    """Return the required arguments and options of a command."""
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


def test_all_but_six_commands_need_a_data_directory():
    assert {("status",), ("monitor",), ("models", "rollback"), ("alerts", "close"), ("fetch", "history")} <= set(
        COMMANDS
    )


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("folder", ["absent", "empty", "of files", "a file"])
def test_folder_without_setup_exits_with_2_and_is_unchanged(tmp_path, capsys, monkeypatch, path, folder):
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
    # By the environment, as under cron: the option would reject a file before the command does.
    monkeypatch.setenv("CRYPTOLIQ_HOME", str(home))
    monkeypatch.setattr(sys, "argv", ["cryptoliq", *path, *words_for(COMMANDS[path], file)])
    with pytest.raises(SystemExit) as end:
        main.main()
    message = " ".join(capsys.readouterr().err.split())
    assert end.value.code == 2
    assert f"{home} {PROBLEMS[folder]}" in message
    assert "cryptoliq --home" in message
    assert sorted(tmp_path.rglob("*")) == before


def test_unreadable_data_directory_exits_with_2(tmp_path, capsys, monkeypatch):
    def raise_permission_error(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", raise_permission_error)
    monkeypatch.setattr(sys, "argv", ["cryptoliq", "--home", str(tmp_path), "monitor"])
    with pytest.raises(SystemExit) as end:
        main.main()
    assert end.value.code == 2
    assert f"{tmp_path} cannot be read (Permission denied)" in " ".join(capsys.readouterr().err.split())
