"""A PostgreSQL server of a test's own: a cluster in a temporary folder, on loopback, under a user who is not root."""

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

# What a URL, a configuration file and a shell would each take for something else.
PASSWORD = "s%3/cr@t:$word"
_START_SECONDS = 60
# Postgres refuses to run as root: nobody's number on any Unix.
_NOBODY = 65534


def programs() -> Path:
    """The folder of initdb and postgres; the test is skipped where there is none."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    found = shutil.which("initdb") or (debian[-1] if debian else None)
    if found is None:
        pytest.skip("no PostgreSQL server here: initdb is neither in PATH nor in /usr/lib/postgresql/*/bin")
    return Path(found).resolve().parent


class Postgres:
    """The server, which is stopped and started as a test asks."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.programs, self.port = folder, programs(), free_port()
        self.log = folder / "server.log"
        self.process: subprocess.Popen | None = None
        self.made = 0
        # The driver of the server's own user needs no password on a file that only this test can read.
        passwords = folder / "password"
        passwords.write_text(PASSWORD, encoding="utf-8")
        if os.geteuid() == 0:
            for path in (folder, passwords):
                os.chown(path, _NOBODY, _NOBODY)
        options = ("-U", "postgres", "-A", "scram-sha-256", f"--pwfile={passwords}", "-E", "UTF8", "--no-locale", "-N")
        made = self._begin("initdb", "-D", "data", *options)
        assert made.wait(_START_SECONDS) == 0, self.said()

    def start(self) -> None:
        self.process = self._begin(
            "postgres", "-D", "data", "-p", str(self.port), "-h", "127.0.0.1", "-k", "", "-c", "fsync=off"
        )
        until = time.monotonic() + _START_SECONDS
        while True:
            try:
                self._connect("postgres", "postgres").close()
            except psycopg2.OperationalError:
                assert self.process.poll() is None, self.said()
                assert time.monotonic() < until, self.said()
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        """As `systemctl restart` would: sessions are cut off, what was committed stays."""
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(_START_SECONDS)
            self.process = None

    def database(self) -> str:
        """The URL of a new and empty database that belongs to the role cryptoliq, made as docs/operations.md says."""
        self.made += 1
        name = f"cryptoliq_{self.made}"
        connection = self._connect("postgres", "postgres")
        connection.autocommit = True
        with connection.cursor() as cursor:
            if self.made == 1:
                cursor.execute("CREATE ROLE cryptoliq LOGIN PASSWORD %s", (PASSWORD,))
            cursor.execute(f"CREATE DATABASE {name} OWNER cryptoliq")
        connection.close()
        return f"postgresql+psycopg2://cryptoliq:{quote(PASSWORD, safe='')}@127.0.0.1:{self.port}/{name}"

    def said(self) -> str:
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
def a_postgres() -> Iterator[Postgres]:
    """A running server, gone afterwards with all it held."""
    # Not pytest's folder, which nobody but its owner may enter.
    programs()
    with tempfile.TemporaryDirectory(prefix="cryptoliq-postgres-", ignore_cleanup_errors=True) as folder:
        server = Postgres(Path(folder))
        try:
            server.start()
            yield server
        finally:
            server.stop()
