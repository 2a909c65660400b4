"""The data directory: its folders and the Dagster instance file.

Add what must exist before any other code runs. Settings belong in `core.config`.
"""

import os
import re
import uuid
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import yaml

from cryptoliq_assets.core.atomic_write import create_file, make_folder, write_file
from cryptoliq_assets.core.config import Settings
from cryptoliq_assets.core.locations import is_remote
from cryptoliq_assets.core.safe_open import DamagedDocumentError, read_stored, read_text

_URL = "CRYPTOLIQ_POSTGRES_URL"
# Write access to models determines what is unpickled; feeds, logs and run records are private.
_OWNER_ONLY = 0o700
_HOME_ID = re.compile("[0-9a-f]{32}")


def explain_missing_home(settings: Settings) -> str | None:
    """Explain why a folder is no data directory: it does not exist, is unreadable or was never set up; None if it is one.

    Files of setup, ingest or training identify a data directory, even if damaged; the Dagster instance is not required.
    """
    home = settings.home_dir
    try:
        with os.scandir(home):
            pass
    except FileNotFoundError:
        return f"{home} does not exist"
    except NotADirectoryError:
        return f"{home} is not a folder"
    except OSError as error:
        return f"{home} cannot be read ({error.strerror or error})"
    marks = (
        settings.dagster_home / "dagster.yaml",
        settings.catalog_path,
        settings.archive_dir,
        settings.validation_dir,
        settings.models_dir / "ledger.jsonl",
        settings.models_dir / "metadata.json",
    )
    # What is in an object store may be that of another data directory.
    return None if any(not is_remote(mark) and os.path.lexists(mark) for mark in marks) else f"{home} was never set up"


def prepare_home(settings: Settings) -> list[Path]:
    """Create missing folders and files, accessible only to the owner; returns what was created.

    Raises:
        OSError: A path cannot be created.
        ValueError: Instance file and settings disagree on where the records of Dagster are.
    """
    created = []
    for folder in (
        settings.home_dir,
        settings.data_dir,
        settings.raw_dir,
        settings.models_dir,
        settings.scratch_dir,
        settings.reports_dir,
        settings.logs_dir,
        settings.dagster_home,
    ):
        if not is_remote(folder) and not folder.exists():
            make_folder(folder.parent)
            folder.mkdir(mode=_OWNER_ONLY, exist_ok=True)
            created.append(folder)
    ensure_home_id(settings)
    instance_file = settings.dagster_home / "dagster.yaml"
    content = _instance_to_write(instance_file, on_postgres=settings.postgres_url is not None)
    if content is not None:
        write_file(instance_file, content)
        created.append(instance_file)
    return created


def ensure_home_id(settings: Settings) -> str:
    """Return the identifier of a data directory, created if it has none; raises as `read_home_id` does."""
    if not settings.home_id_path.exists():
        create_file(settings.home_id_path, uuid.uuid4().hex + "\n")
    return read_home_id(settings)


def read_home_id(settings: Settings) -> str:
    """Return the identifier of a data directory: 32 hexadecimal digits, empty if it has none yet.

    Month files identify received files by numbers that each data directory assigns. The identifier states whose numbers they are.

    Raises:
        DamagedDocumentError: The file contains something else.
    """
    path = settings.home_id_path
    try:
        home_id = read_text(path).strip()
    except FileNotFoundError:
        return ""
    if not _HOME_ID.fullmatch(home_id):
        raise DamagedDocumentError(
            path, "expected 32 hexadecimal digits; restore it, or write the id that an error about a month file names"
        )
    return home_id


def _instance_to_write(path: Path, *, on_postgres: bool) -> bytes | None:
    """Content of the instance file to write; None if the existing one is usable: manual edits are preserved."""
    if on_postgres and find_spec("dagster_postgres") is None:
        raise ValueError(
            f"{_URL} is set and dagster-postgres is not installed: in cryptoliq's clone, pip install '.[postgres]'"
        )
    sqlite, postgres = _shipped("dagster.yaml"), _shipped("dagster-postgres.yaml")
    if not path.exists():
        return postgres if on_postgres else sqlite
    content = read_stored(path)
    try:
        storage = ((yaml.safe_load(content) or {}).get("storage") or {}).get("postgres")
    except (yaml.YAMLError, AttributeError, RecursionError) as error:
        raise RuntimeError(f"{path} is damaged ({error}); remove it: `cryptoliq setup` writes it again") from error
    if on_postgres and storage is None:
        if content == sqlite:
            return postgres
        raise ValueError(
            f"{_URL} is set, and {path} has no Postgres storage: copy `storage` of "
            f"{files('cryptoliq_assets').joinpath('dagster-postgres.yaml')} into it"
        )
    if not on_postgres and _URL in str(storage):
        # Switching back automatically would split the records between shells with and without the variable.
        raise ValueError(f"{path} has Dagster's records on Postgres: set {_URL}, or remove the file for SQLite")
    return None


def _shipped(name: str) -> bytes:
    return files("cryptoliq_assets").joinpath(name).read_bytes()
