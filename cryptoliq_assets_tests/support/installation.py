"""The installation of the Dockerfile without a network.

A wheel of the project, built from the files that are copied to the builder, is installed in its own environment, which
has only the distributions of one pinned set.
"""

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

from cryptoliq_assets_tests.support.dockerfile import image_instructions
from cryptoliq_assets_tests.support.paths import ROOT
from cryptoliq_assets_tests.support.unprivileged import run_unprivileged

# Distributions with the same modules, one without GPU support; this environment has the other one.
_STAND_INS = {"xgboost-cpu": "xgboost"}
_SCRIPT = "#!{python}\nimport sys\nfrom {module} import {top}\nsys.exit({call}())\n"


class Installed:
    """A virtual environment like /opt/cryptoliq in the image; `bin` contains its programs."""

    def __init__(self, folder: Path, *, target: str, wheel: Path) -> None:
        """Create it in an empty folder, for `docker build --target` ("" is the last stage)."""
        self.bin = folder / "environment" / "bin"
        subprocess.run([_interpreter(), "-m", "venv", "--without-pip", folder / "environment"], check=True)
        self.python = self.bin / "python"
        (self._site,) = folder.glob("environment/lib/python3*/site-packages")
        for name in _pinned(target):
            self._link(name)
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "--python", str(self.python)]
        _run(*pip, "install", "--no-deps", "--no-index", str(wheel))
        for installed in distributions(path=[str(self._site)]):
            self._scripts(installed)

    @property
    def package(self) -> Path:
        return self._site / "cryptoliq_assets"

    def _link(self, name: str) -> None:
        """Link the files that pip would unpack: per package, as distributions share parent folders (google/)."""
        try:
            installed = distribution(_STAND_INS.get(name, name))
        except PackageNotFoundError:
            pytest.fail(f"{name} is pinned but not installed: pip install -r requirements.txt")
        files = {PurePosixPath(file) for file in installed.files or [] if ".." not in file.parts}
        packages = {file.parent for file in files if file.name in ("__init__.py", "METADATA")}
        for path in {next((up for up in reversed(file.parents) if up in packages), file) for file in files}:
            (self._site / path).parent.mkdir(parents=True, exist_ok=True)
            (self._site / path).symlink_to(installed.locate_file(path))

    def _scripts(self, installed: Distribution) -> None:
        """Write the console scripts of a distribution, as pip does."""
        for entry in installed.entry_points.select(group="console_scripts"):
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
    """Return the names of the distributions that the RUN instructions of the target install."""
    stage = "build-api" if target == "api" else "build-all"
    ran = " ".join(rest for kind, rest in image_instructions(stage) if kind == "RUN")
    (file,) = re.findall(r"pip install -r (\S+)", ran)
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    return [line.partition("==")[0] for line in lines if "==" in line]


def build_wheel_of_copied_files(folder: Path) -> Path:
    """Build a wheel in an empty folder, only from the files that COPY brings to the builder."""
    context = folder / "context"
    context.mkdir()
    for kind, rest in image_instructions("build-all"):
        if kind == "COPY":
            *sources, target = shlex.split(rest)
            for source in sources:
                if (ROOT / source).is_dir():
                    shutil.copytree(ROOT / source, context / target, ignore=shutil.ignore_patterns("__pycache__"))
                else:
                    shutil.copy(ROOT / source, context / target)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    _run(*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), ".", cwd=context)
    (wheel,) = folder.glob("*.whl")
    return wheel


@cache
def _interpreter() -> str:
    """Return a Python of this version, outside of any environment, that an unprivileged user can run."""
    name = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    # This user must be able to read the packages too: an environment below the home of root is closed to others. A shell
    # starts Python because setpriv has the privileges of root until it starts a program.
    open_package = f"open({str(distribution('click').locate_file('click/__init__.py'))!r})"
    for python in (os.path.realpath(sys.executable), f"/usr/local/bin/{name}", f"/usr/bin/{name}"):
        command = [*run_unprivileged(), "/bin/sh", "-c", '"$0" -c "$1"', python, open_package]
        if subprocess.run(command, cwd="/", capture_output=True, check=False).returncode == 0:
            return python
    pytest.skip(f"no {name} with its packages that an unprivileged user can run")
