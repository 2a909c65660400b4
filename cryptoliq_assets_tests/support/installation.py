"""The Dockerfile's installation, done without a network: the project's wheel from the files that are copied to the builder, in an environment
of its own that has the distributions of one pinned set and no other."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from functools import cache
from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions
from pathlib import Path, PurePosixPath

import pytest

from cryptoliq_assets_tests.e2e.test_docker import ROOT, lineage
from cryptoliq_assets_tests.support.unprivileged import plainly

# The same modules, without those for graphics cards: of the two this environment has the other.
_STAND_INS = {"xgboost-cpu": "xgboost"}
_SCRIPT = "#!{python}\nimport sys\nfrom {module} import {top}\nsys.exit({call}())\n"


class Installed:
    """A virtual environment like the image's /opt/cryptoliq; `bin` has its programs."""

    def __init__(self, folder: Path, *, target: str, wheel: Path) -> None:
        """Made in an empty folder, for `docker build --target` (the last stage where it is "")."""
        self.bin = folder / "environment" / "bin"
        subprocess.run([_interpreter(), "-m", "venv", "--without-pip", folder / "environment"], check=True)
        self.python = self.bin / "python"
        (self._site,) = folder.glob("environment/lib/python3*/site-packages")
        for name in _pinned(target):
            self._link(name)
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "--python", str(self.python)]
        _run(*pip, "install", "--no-deps", "--no-index", str(wheel))
        for found in distributions(path=[str(self._site)]):
            self._scripts(found)

    def _link(self, name: str) -> None:
        """What pip would unpack, by links: to each package, since distributions share what is above them (google/)."""
        try:
            found = distribution(_STAND_INS.get(name, name))
        except PackageNotFoundError:
            pytest.fail(f"{name} is pinned and not installed here: pip install -r requirements.txt")
        files = {PurePosixPath(file) for file in found.files or [] if ".." not in file.parts}
        packages = {file.parent for file in files if file.name in ("__init__.py", "METADATA")}
        for place in {next((up for up in reversed(file.parents) if up in packages), file) for file in files}:
            (self._site / place).parent.mkdir(parents=True, exist_ok=True)
            (self._site / place).symlink_to(found.locate_file(place))

    def _scripts(self, of: Distribution) -> None:
        """Its console scripts, as pip writes them."""
        for entry in of.entry_points.select(group="console_scripts"):
            path = self.bin / entry.name
            if not path.exists():
                top = entry.attr.partition(".")[0]
                path.write_text(
                    _SCRIPT.format(python=self.python, module=entry.module, top=top, call=entry.attr), encoding="utf-8"
                )
                path.chmod(0o755)


def _run(*command: str | Path, cwd: Path | None = None) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _pinned(target: str) -> list[str]:
    """Names of the distributions that the target's RUN lines install."""
    stage = "build-api" if target == "api" else "build-all"
    ran = " ".join(rest for kind, rest in lineage(stage) if kind == "RUN")
    (file,) = re.findall(r"pip install -r (\S+)", ran)
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    return [line.partition("==")[0] for line in lines if "==" in line]


def wheel_of_the_copied_files(folder: Path) -> Path:
    """Built, in an empty folder, from what COPY brings to the builder and nothing else of the checkout."""
    context = folder / "context"
    context.mkdir()
    for kind, rest in lineage("build-all"):
        if kind == "COPY":
            *sources, place = shlex.split(rest)
            for source in sources:
                if (ROOT / source).is_dir():
                    shutil.copytree(ROOT / source, context / place, ignore=shutil.ignore_patterns("__pycache__"))
                else:
                    shutil.copy(ROOT / source, context / place)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    _run(*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), ".", cwd=context)
    (wheel,) = folder.glob("*.whl")
    return wheel


@cache
def _interpreter() -> str:
    """A Python of this version, outside of any environment, that a user without privileges may run."""
    ours = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    # The packages as well: an environment below root's home is closed to others. By a shell, for setpriv itself keeps root's
    # rights until it has begun a program.
    reach = f"open({str(distribution('click').locate_file('click/__init__.py'))!r})"
    for found in (os.path.realpath(sys.executable), f"/usr/local/bin/{ours}", f"/usr/bin/{ours}"):
        command = [*plainly(), "/bin/sh", "-c", '"$0" -c "$1"', found, reach]
        if subprocess.run(command, cwd="/", capture_output=True, check=False).returncode == 0:
            return found
    pytest.skip(f"no {ours} with its packages that a user without privileges may run")
