"""The images' own commands, as Dockerfile and compose say them, run by a user without privileges who owns nothing but a home.

Where the suite runs as root it becomes one; programs are those of an installation like the image's, which this user may not write. Folders of
the image (/home/cryptoliq, /app) are put in a temporary place, ports are free ones; all else is as the two files have it.
"""

import http.server
import os
import shlex
import ssl
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import httpx
import psutil
import pytest
import yaml

from cryptoliq_assets.modeling.registry.model_registry import open_model_store
from cryptoliq_assets.serving.gateway.auth import generate_key
from cryptoliq_assets_tests.e2e.test_docker import ROOT, TEXT
from cryptoliq_assets_tests.support.compose_file import OURS, dummies, filled, start_order
from cryptoliq_assets_tests.support.image import Image, end, said
from cryptoliq_assets_tests.support.installation import Installed, wheel_of_the_copied_files
from cryptoliq_assets_tests.support.postgres import PASSWORD, a_postgres
from cryptoliq_assets_tests.support.services import BODY, free_port
from cryptoliq_assets_tests.support.settings import make_settings

DOCUMENTED = [shlex.split(line.lstrip("# ")) for line in TEXT.splitlines() if line.startswith("#   ")]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    return wheel_of_the_copied_files(tmp_path_factory.mktemp("wheel"))


@contextmanager
def open_folder() -> Iterator[Path]:
    """A temporary one that other users may enter, which pytest's own are not."""
    with tempfile.TemporaryDirectory(prefix="image-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o711)
        yield Path(name)


@pytest.fixture(scope="module")
def api(wheel, trained_home) -> Iterator[Image]:
    with open_folder() as folder:
        yield Image(folder, Installed(folder, target="api", wheel=wheel), trained_home.path, target="api")


@pytest.fixture(scope="module")
def whole(wheel, trained_home) -> Iterator[Image]:
    with open_folder() as folder:
        yield Image(folder, Installed(folder, target="", wheel=wheel), trained_home.path, target="")


def test_the_api_image_serves_on_port_with_keys_and_no_files(api):
    port, (key, digest) = free_port(), generate_key()
    models = open_model_store(make_settings(home_dir=api.home))
    bucket = {
        "CRYPTOLIQ_STORAGE__URL": f"file://{api.home}/data",
        "CRYPTOLIQ_STORAGE__MODELS_URL": f"file://{api.home}/models",
        "CRYPTOLIQ_HOME": "/nonexistent",
    }
    before = {path: path.stat().st_mtime_ns for path in api.home.rglob("*")}
    check = said("api", "HEALTHCHECK")
    assert not said("api", "ENTRYPOINT")
    with api.running(said("api", "CMD"), log="serve", PORT=str(port), CRYPTOLIQ_API__KEYS=digest, **bucket) as process:
        url = f"http://127.0.0.1:{port}"
        api.until(lambda: httpx.get(f"{url}/readyz").status_code == 200, process)
        assert set(process.uids()) != {0}
        assert httpx.post(f"{url}/predict", json=BODY).status_code == 401
        answer = httpx.post(f"{url}/predict", json=BODY, headers={"Authorization": f"Bearer {key}"}).json()
        assert answer["model_version"] == models.model_version(models.current_version())
        assert api.is_well(check, PORT=str(port))
    assert not api.is_well(check, PORT=str(port))
    assert {path: path.stat().st_mtime_ns for path in api.home.rglob("*")} == before


@pytest.mark.parametrize("target", ["api", "whole"])
def test_both_images_include_object_storage_libraries(target, request):
    python = request.getfixturevalue(target).installed.python
    # Which imports gcsfs and all of Google's that it stands on.
    asked = "import fsspec; print(fsspec.get_filesystem_class('gs').__module__)"
    done = subprocess.run([python, "-c", asked], capture_output=True, text=True, check=False)
    assert done.stdout.startswith("gcsfs"), done.stderr


def test_the_api_image_does_not_start_without_keys(api):
    with api.running(said("api", "CMD"), log="keyless", PORT=str(free_port())) as process:
        assert process.wait(timeout=60) == 2
    assert "CRYPTOLIQ_API__KEYS" in (api.folder / "keyless.log").read_text()


def test_the_api_healthcheck_uses_tls_if_the_service_does(api, tmp_path):
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=api.example.org"]
    subprocess.run([*made, "-keyout", key, "-out", cert], check=True, capture_output=True)

    class Healthy(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/healthz" else 404)
            self.end_headers()

        def log_message(self, *said: object) -> None:
            """The test's output is the tests'."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Healthy) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            check, port = said("api", "HEALTHCHECK"), str(server.server_port)
            assert api.is_well(check, PORT=port, CRYPTOLIQ_API__TLS_CERT=str(cert))
            assert not api.is_well(check, PORT=port)
        finally:
            server.shutdown()
            thread.join()


# The image of everything, as deploy/compose.yml runs it: each service waits for those that it depends on to be well.


class Started:
    """Services of ours at work on one home and one real Postgres; `ports` says where."""

    def __init__(self, image: Image, compose: dict) -> None:
        self.image, self.services = image, compose["services"]
        self.ports = {name: free_port() for name in OURS}
        self.environments: dict[str, dict[str, str]] = {}

    def write_workspace(self) -> None:
        """What compose mounts, at the port that the code server gets here."""
        text = (ROOT / "deploy" / "workspace.yaml").read_text(encoding="utf-8")
        (source,) = yaml.safe_load(text)["load_from"]
        source["grpc_server"] |= {"host": "127.0.0.1", "port": self.ports["code"]}
        (self.image.app / "deploy-workspace.yaml").write_text(yaml.safe_dump({"load_from": [source]}), encoding="utf-8")

    def words(self, name: str) -> list[str]:
        """Entrypoint and command, at a free port."""
        service = self.services[name]
        words = [*service.get("entrypoint", said("", "ENTRYPOINT")), *service["command"]]
        flags = [place for place, word in enumerate(words) if word in ("-p", "--port")]
        for place in flags:
            words[place + 1] = str(self.ports[name])
        return words

    def is_well(self, name: str) -> bool:
        """By compose's own healthcheck."""
        service = self.services[name]
        command = service["command"]
        flag = next((flag for flag in ("-p", "--port") if flag in command), None)
        of = int(command[command.index(flag) + 1]) if flag else None
        how, *check = service["healthcheck"]["test"]
        assert how == "CMD"
        return self.image.is_well(check, port=self.ports[name], of=of, **self.environments[name])


@pytest.fixture(scope="module")
def started(whole) -> Iterator[Started]:
    with a_postgres() as postgres:
        url = postgres.database()
        values = {**dummies(), "POSTGRES_PASSWORD": quote(PASSWORD, safe=""), "CRYPTOLIQ_API__KEYS": generate_key()[1]}
        # The trained home's artifacts are not signed.
        values["CRYPTOLIQ_SIGNING_KEY"] = ""
        found = Started(whole, filled(**values))
        found.write_workspace()
        processes: dict[str, psutil.Popen] = {}
        try:
            for name in start_order(filled(**values)):
                if name not in OURS:
                    continue
                for needed in found.services[name]["depends_on"].keys() & processes:
                    whole.until(lambda needed=needed: found.is_well(needed), processes[needed])
                environment = dict(found.services[name]["environment"])
                if "CRYPTOLIQ_POSTGRES_URL" in environment:
                    assert environment["CRYPTOLIQ_POSTGRES_URL"] == f"{url.rpartition('@')[0]}@postgres:5432/dagster"
                    environment["CRYPTOLIQ_POSTGRES_URL"] = url
                found.environments[name] = environment
                processes[name] = whole.begin(found.words(name), log=name, **environment)
            for name, process in processes.items():
                whole.until(lambda name=name: found.is_well(name), process)
                assert 0 not in process.uids() or os.geteuid()
            yield found
        finally:
            end(list(processes.values()))


def test_all_compose_services_are_healthy_and_load_the_code(started):
    query = """{ workspaceOrError { ... on Workspace { locationEntries { name loadStatus locationOrLoadError {
        ... on RepositoryLocation { repositories { jobs { name } } } ... on PythonError { message } } } } }
        instance { daemonHealth { allDaemonStatuses { daemonType healthy required } } } }"""
    asked = httpx.post(f"http://127.0.0.1:{started.ports['webserver']}/graphql", json={"query": query}, timeout=60)
    data = asked.json()["data"]
    (location,) = data["workspaceOrError"]["locationEntries"]
    assert (location["name"], location["loadStatus"]) == ("cryptoliq", "LOADED")
    (repository,) = location["locationOrLoadError"]["repositories"]
    assert {"refresh", "train", "monitor"} <= {job["name"] for job in repository["jobs"]}
    daemons = data["instance"]["daemonHealth"]["allDaemonStatuses"]
    assert [one["daemonType"] for one in daemons if one["required"] and not one["healthy"]] == []
    assert httpx.get(f"http://127.0.0.1:{started.ports['api']}/readyz").status_code == 200
    # Nothing of Dagster's went to SQLite.
    assert not list((started.image.home / ".dagster").rglob("*.db"))


def test_status_works_with_the_environment_of_the_pipeline(started):
    words = [*said("", "ENTRYPOINT"), "cryptoliq", "status"]
    with started.image.running(words, log="status", **started.environments["code"]) as process:
        # 1: the home's market ended long ago, and status says so.
        assert process.wait(timeout=120) == 1
    assert "Data is stale" in (started.image.folder / "status.log").read_text()


def test_commands_in_the_dockerfile_are_those_of_compose(started):
    services = started.services.values()
    ran = [[*s.get("entrypoint", []), *s["command"]] for s in services if s["image"] == "cryptoliq:latest"]
    ran = [[word.replace("deploy-workspace", "workspace") for word in words] for words in ran]
    assert sorted(DOCUMENTED) == sorted([*ran, ["cryptoliq", "status"]])
    assert said("", "CMD") == [*started.services["webserver"]["command"][:-1], "workspace.yaml"]
    assert said("", "HEALTHCHECK") == started.services["webserver"]["healthcheck"]["test"][1:]
