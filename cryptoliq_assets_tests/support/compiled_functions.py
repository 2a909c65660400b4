"""Compiled functions for programs with their own numba cache, which would otherwise compile for half a minute."""

import shutil
from pathlib import Path

# Its name in numba is private; the folders of a cache have no other description.
from numba.core.caching import _CacheLocator

import cryptoliq_assets

_OWN = Path(cryptoliq_assets.__file__).parent


def copy_compiled_functions(cache: Path, *, package: Path = _OWN) -> None:
    """Copy what the tested package has compiled into a numba cache, for an equal package in another folder.

    numba recognises the functions by the content of their files. What is missing is compiled as usual.
    """
    for path in _OWN.rglob("__pycache__/*.nb[ic]"):
        source = package / path.parent.parent.relative_to(_OWN) / "module.py"
        folder = cache / _CacheLocator.get_suitable_cache_subpath(str(source))
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder)
