"""Commands of the images, as in Dockerfile and compose, run by an unprivileged user who owns only a data directory.

If the suite runs as root, it switches to this user; the programs are installed as in the image, and this user cannot
write them. Folders of the image (/home/cryptoliq, /app) are in a temporary folder and ports are free ones; everything
else is as in the two files.
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
from cryptoliq_assets_tests.support.compose_file import OWN_SERVICES, dummy_values, fill_compose, start_order
from cryptoliq_assets_tests.support.dockerfile import TEXT
from cryptoliq_assets_tests.support.image import Image, end, instruction_words
from cryptoliq_assets_tests.support.installation import Installed, build_wheel_of_copied_files
from cryptoliq_assets_tests.support.paths import ROOT
from cryptoliq_assets_tests.support.postgres import PASSWORD, run_postgres
from cryptoliq_assets_tests.support.processes import free_port, is_listening
from cryptoliq_assets_tests.support.services import BODY
from cryptoliq_assets_tests.support.settings import make_settings

DOCUMENTED = [shlex.split(line.lstrip("# ")) for line in TEXT.splitlines() if line.startswith("#   ")]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    return build_wheel_of_copied_files(tmp_path_factory.mktemp("wheel"))


@contextmanager
def open_folder() -> Iterator[Path]:
    """Create a temporary folder that other users can enter, unlike those of pytest."""
    with tempfile.TemporaryDirectory(prefix="image-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o711)
        yield Path(name)


@pytest.fixture(scope="module")
def api(wheel, trained_home) -> Iterator[Image]:
    with open_folder() as folder:
        yield Image(folder, Installed(folder, target="api", wheel=wheel), trained_home.path, target="api")


@pytest.fixture(scope="module")
def full_image(wheel, trained_home) -> Iterator[Image]:
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
    check = instruction_words("api", "HEALTHCHECK")
    assert not instruction_words("api", "ENTRYPOINT")
    with api.running(
        instruction_words("api", "CMD"), log="serve", PORT=str(port), CRYPTOLIQ_API__KEYS=digest, **bucket
    ) as process:
        url = f"http://127.0.0.1:{port}"
        api.until(lambda: httpx.get(f"{url}/readyz").status_code == 200, process)
        assert set(process.uids()) != {0}
        assert httpx.post(f"{url}/predict", json=BODY).status_code == 401
        prediction = httpx.post(f"{url}/predict", json=BODY, headers={"Authorization": f"Bearer {key}"}).json()
        assert prediction["model_version"] == models.model_version(models.current_version())
        assert api.is_healthy(check, PORT=str(port))
    assert not api.is_healthy(check, PORT=str(port))
    assert {path: path.stat().st_mtime_ns for path in api.home.rglob("*")} == before


@pytest.mark.parametrize("target", ["api", "full_image"])
def test_both_images_include_object_storage_libraries(target, request):
    python = request.getfixturevalue(target).installed.python
    # This imports gcsfs and s3fs with their dependencies from Google and Amazon.
    code = "import fsspec; print(*(fsspec.get_filesystem_class(name).__module__ for name in ('gs', 's3')))"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    assert [name.partition(".")[0] for name in done.stdout.split()] == ["gcsfs", "s3fs"], done.stderr


def test_the_api_image_does_not_start_without_keys(api):
    with api.running(instruction_words("api", "CMD"), log="keyless", PORT=str(free_port())) as process:
        assert process.wait(timeout=60) == 2
    assert "CRYPTOLIQ_API__KEYS" in (api.folder / "keyless.log").read_text()


def test_the_api_healthcheck_uses_tls_if_the_service_does(api, tmp_path):
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=api.example.org"]
    subprocess.run([*command, "-keyout", key, "-out", cert], check=True, capture_output=True)

    class Healthy(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/healthz" else 404)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            """Write nothing to the output of the tests."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Healthy) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            check, port = instruction_words("api", "HEALTHCHECK"), str(server.server_port)
            assert api.is_healthy(check, PORT=port, CRYPTOLIQ_API__TLS_CERT=str(cert))
            assert not api.is_healthy(check, PORT=port)
        finally:
            server.shutdown()
            thread.join()


# The full image, as deploy/compose.yml runs it: each service waits until its dependencies are healthy.


class ComposeServices:
    """The services of this project on one home and one real Postgres, with their ports."""

    def __init__(self, image: Image, compose: dict) -> None:
        self.image, self.services = image, compose["services"]
        self.ports = {name: free_port() for name in OWN_SERVICES}
        self.environments: dict[str, dict[str, str]] = {}

    def write_workspace(self) -> None:
        """Write the workspace that compose mounts, with the port of the code server in this test."""
        text = (ROOT / "deploy" / "workspace.yaml").read_text(encoding="utf-8")
        (source,) = yaml.safe_load(text)["load_from"]
        source["grpc_server"] |= {"host": "127.0.0.1", "port": self.ports["code"]}
        (self.image.app / "deploy-workspace.yaml").write_text(yaml.safe_dump({"load_from": [source]}), encoding="utf-8")

    def words(self, name: str) -> list[str]:
        """Return entrypoint and command, with a free port."""
        service = self.services[name]
        words = [*service.get("entrypoint", instruction_words("", "ENTRYPOINT")), *service["command"]]
        flags = [position for position, word in enumerate(words) if word in ("-p", "--port")]
        for position in flags:
            words[position + 1] = str(self.ports[name])
        return words

    def is_healthy(self, name: str) -> bool:
        """Return the result of the healthcheck in the compose file."""
        service = self.services[name]
        command = service["command"]
        flag = next((flag for flag in ("-p", "--port") if flag in command), None)
        image_port = int(command[command.index(flag) + 1]) if flag else None
        if flag and not is_listening(self.ports[name]):
            # The healthcheck takes seconds and would fail.
            return False
        kind, *check = service["healthcheck"]["test"]
        assert kind == "CMD"
        return self.image.is_healthy(check, port=self.ports[name], image_port=image_port, **self.environments[name])


@pytest.fixture(scope="module")
def started(full_image) -> Iterator[ComposeServices]:
    with run_postgres() as postgres:
        url = postgres.database()
        values = {
            **dummy_values(),
            "POSTGRES_PASSWORD": quote(PASSWORD, safe=""),
            "CRYPTOLIQ_API__KEYS": generate_key()[1],
        }
        # The artifacts of the trained home are not signed.
        values["CRYPTOLIQ_SIGNING_KEY"] = ""
        services = ComposeServices(full_image, fill_compose(**values))
        services.write_workspace()
        processes: dict[str, psutil.Popen] = {}
        try:
            for name in start_order(fill_compose(**values)):
                if name not in OWN_SERVICES:
                    continue
                for needed in services.services[name]["depends_on"].keys() & processes:
                    full_image.until(lambda needed=needed: services.is_healthy(needed), processes[needed])
                environment = dict(services.services[name]["environment"])
                if "CRYPTOLIQ_POSTGRES_URL" in environment:
                    assert environment["CRYPTOLIQ_POSTGRES_URL"] == f"{url.rpartition('@')[0]}@postgres:5432/dagster"
                    environment["CRYPTOLIQ_POSTGRES_URL"] = url
                services.environments[name] = environment
                processes[name] = full_image.begin(services.words(name), log=name, **environment)
            # The daemon, which has no port, last: each attempt takes seconds.
            for name, process in sorted(processes.items(), key=lambda item: item[0] == "daemon"):
                full_image.until(lambda name=name: services.is_healthy(name), process)
                assert 0 not in process.uids() or os.geteuid()
            yield services
        finally:
            end(list(processes.values()))


def test_all_compose_services_are_healthy_and_load_the_code(started):
    query = """{ workspaceOrError { ... on Workspace { locationEntries { name loadStatus locationOrLoadError {
        ... on RepositoryLocation { repositories { jobs { name } } } ... on PythonError { message } } } } }
        instance { daemonHealth { allDaemonStatuses { daemonType healthy required } } } }"""
    response = httpx.post(f"http://127.0.0.1:{started.ports['webserver']}/graphql", json={"query": query}, timeout=60)
    data = response.json()["data"]
    (location,) = data["workspaceOrError"]["locationEntries"]
    assert (location["name"], location["loadStatus"]) == ("cryptoliq", "LOADED")
    (repository,) = location["locationOrLoadError"]["repositories"]
    assert {"refresh", "train", "monitor"} <= {job["name"] for job in repository["jobs"]}
    daemons = data["instance"]["daemonHealth"]["allDaemonStatuses"]
    assert [daemon["daemonType"] for daemon in daemons if daemon["required"] and not daemon["healthy"]] == []
    assert httpx.get(f"http://127.0.0.1:{started.ports['api']}/readyz").status_code == 200
    # Dagster stored nothing in SQLite.
    assert not list((started.image.home / ".dagster").rglob("*.db"))


def test_status_works_with_the_environment_of_the_pipeline(started):
    words = [*instruction_words("", "ENTRYPOINT"), "cryptoliq", "status"]
    with started.image.running(words, log="status", **started.environments["code"]) as process:
        # 1: the data of the home are old, which status reports.
        assert process.wait(timeout=120) == 1
    assert "Data is stale" in (started.image.folder / "status.log").read_text()


def test_commands_in_the_dockerfile_are_those_of_compose(started):
    services = started.services.values()
    # Those of a cluster have no home and are documented in docs/scaling.md.
    own = [s for s in services if s["image"] == "cryptoliq:latest" and s.get("entrypoint") != ["dask"]]
    ran = [[*s.get("entrypoint", []), *s["command"]] for s in own]
    ran = [[word.replace("deploy-workspace", "workspace") for word in words] for words in ran]
    assert sorted(DOCUMENTED) == sorted([*ran, ["cryptoliq", "status"]])
    assert instruction_words("", "CMD") == [*started.services["webserver"]["command"][:-1], "workspace.yaml"]
    assert instruction_words("", "HEALTHCHECK") == started.services["webserver"]["healthcheck"]["test"][1:]
