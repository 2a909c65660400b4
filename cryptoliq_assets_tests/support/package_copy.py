"""A copy of the package that a test changes as a contributor would, and programs that run on it."""

import os
import subprocess
import sys
from pathlib import Path
from shutil import copytree, ignore_patterns

import cryptoliq_assets

PACKAGE = "cryptoliq_assets"


class PackageCopy:
    """The package in a folder of its own; the tests' helpers are those of this checkout."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        copytree(Path(cryptoliq_assets.__file__).parent, folder / PACKAGE, ignore=ignore_patterns("*.pyc", "*.nb?"))

    def path(self, name: str) -> Path:
        """Return the path of a file, given relative to the repository."""
        return self.folder / name

    def apply(self, block: str) -> str:
        """Apply a block of CONTRIBUTING.md, whose first line is a comment with file and place; return the file."""
        first, _, text = block.partition("\n")
        name, _, place = first.removeprefix("# ").partition(", ")
        if place == "a new module":
            assert not self.path(name).exists(), f"{name} exists"
            self.path(name).write_text(text, encoding="utf-8")
        elif place == "at the end":
            whole = self.path(name).read_text(encoding="utf-8")
            self.path(name).write_text(f"{whole}\n\n{text}", encoding="utf-8")
        elif place.startswith("before "):
            self.insert(name, f"{text}\n\n", before=place.removeprefix("before "))
        elif place.startswith("last entry of "):
            self.append_to_registry(name, place.removeprefix("last entry of "), text)
        else:
            raise AssertionError(f"{first!r} does not state a file and a place")
        return name

    def insert(self, name: str, text: str, *, before: str) -> None:
        """Insert text before the only line that begins so."""
        lines = self.path(name).read_text(encoding="utf-8").splitlines(keepends=True)
        (place,) = [number for number, line in enumerate(lines) if line.startswith(before)]
        lines[place:place] = [text]
        self.path(name).write_text("".join(lines), encoding="utf-8")

    def append_to_registry(self, name: str, registry: str, entry: str) -> None:
        """Insert an entry as the last one of a multi-line tuple or mapping that begins with `registry`."""
        lines = self.path(name).read_text(encoding="utf-8").splitlines(keepends=True)
        (first,) = [number for number, line in enumerate(lines) if line.startswith(registry)]
        last = next(number for number in range(first + 1, len(lines)) if lines[number][0] in ")}]")
        # A registry that a function checks has one more bracket, indented.
        if lines[last - 1].strip() in (")", "}"):
            last -= 1
        indent = lines[last][: len(lines[last]) - len(lines[last].lstrip())] + "    "
        lines[last:last] = [f"{indent}{line}\n" for line in entry.strip("\n").splitlines()]
        self.path(name).write_text("".join(lines), encoding="utf-8")

    def run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a program on the copy, with assertions as in this process."""
        environment = {**os.environ, "PYTHONPATH": str(self.folder)}
        return subprocess.run(
            [sys.executable, "-c", program, *arguments],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def check(self, program: str, *arguments: str) -> str:
        """Run a program that must succeed; return its output."""
        done = self.run(program, *arguments)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout
