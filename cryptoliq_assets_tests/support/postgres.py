"""A PostgreSQL server for a test: a cluster in a temporary folder, on loopback, run by a user who is not root."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import psycopg2
import pytest

from cryptoliq_assets_tests.support.processes import free_port

# Characters with a meaning in URLs, configuration files and shells.
PASSWORD = "s%3/cr@t:$word"
_START_SECONDS = 60
# Postgres does not run as root: the ID of the user nobody.
_NOBODY = 65534


def programs() -> Path:
    """Return the folder of initdb and postgres; the test is skipped if they are not installed."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    initdb = shutil.which("initdb") or (debian[-1] if debian else None)
    if initdb is None:
        pytest.skip("PostgreSQL is not installed: initdb is neither in PATH nor in /usr/lib/postgresql/*/bin")
    return Path(initdb).resolve().parent


class Postgres:
    """A server that a test can stop and start."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.programs, self.port = folder, programs(), free_port()
        self.log = folder / "server.log"
        self.process: subprocess.Popen | None = None
        self.created_databases = 0
        # initdb reads the password of the superuser from this file, which only the user of the server can read.
        passwords = folder / "password"
        passwords.write_text(PASSWORD, encoding="utf-8")
        if os.geteuid() == 0:
            for path in (folder, passwords):
                os.chown(path, _NOBODY, _NOBODY)
        options = ("-U", "postgres", "-A", "scram-sha-256", f"--pwfile={passwords}", "-E", "UTF8", "--no-locale", "-N")
        process = self._begin("initdb", "-D", "data", *options)
        assert process.wait(_START_SECONDS) == 0, self.log_text()

    def start(self) -> None:
        self.process = self._begin(
            "postgres", "-D", "data", "-p", str(self.port), "-h", "127.0.0.1", "-k", "", "-c", "fsync=off"
        )
        until = time.monotonic() + _START_SECONDS
        while True:
            try:
                self._connect("postgres", "postgres").close()
            except psycopg2.OperationalError:
                assert self.process.poll() is None, self.log_text()
                assert time.monotonic() < until, self.log_text()
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        """Stop as `systemctl restart` does: sessions are closed, committed data remain."""
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(_START_SECONDS)
            self.process = None

    def database(self) -> str:
        """Create an empty database of the role cryptoliq, as docs/operations.md describes; return its URL."""
        self.created_databases += 1
        name = f"cryptoliq_{self.created_databases}"
        connection = self._connect("postgres", "postgres")
        connection.autocommit = True
        with connection.cursor() as cursor:
            if self.created_databases == 1:
                cursor.execute("CREATE ROLE cryptoliq LOGIN PASSWORD %s", (PASSWORD,))
            cursor.execute(f"CREATE DATABASE {name} OWNER cryptoliq")
        connection.close()
        return f"postgresql+psycopg2://cryptoliq:{quote(PASSWORD, safe='')}@127.0.0.1:{self.port}/{name}"

    def log_text(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def _connect(self, user: str, database: str):
        return psycopg2.connect(host="127.0.0.1", port=self.port, user=user, password=PASSWORD, dbname=database)

    def _begin(self, program: str, *arguments: str) -> subprocess.Popen:
        root = os.geteuid() == 0
        with self.log.open("ab") as out:
            return subprocess.Popen(
                [self.programs / program, *arguments],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
                **({"user": _NOBODY, "group": _NOBODY, "extra_groups": []} if root else {}),
            )


@contextmanager
def run_postgres() -> Iterator[Postgres]:
    """Run a server, and remove it with its data afterwards."""
    # Not in the folder of pytest, which other users cannot enter.
    programs()
    with tempfile.TemporaryDirectory(prefix="cryptoliq-postgres-", ignore_cleanup_errors=True) as folder:
        server = Postgres(Path(folder))
        try:
            server.start()
            yield server
        finally:
            server.stop()
