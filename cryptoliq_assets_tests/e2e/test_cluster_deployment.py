"""The cluster in deploy/: the profile of the compose file, and the Kubernetes manifest."""

import re
from importlib.metadata import entry_points

import kubernetes_validate
import pytest
import yaml
from click.testing import CliRunner

from cryptoliq_assets.core.config import Settings
from cryptoliq_assets_tests.support.compose_file import CLUSTER_SERVICES, read_compose
from cryptoliq_assets_tests.support.paths import ROOT

DEPLOY = ROOT / "deploy"
MANIFEST = DEPLOY / "kubernetes.yml"
NAMESPACE = "cryptoliq"


def read_manifest() -> list[dict]:
    return list(yaml.safe_load_all(MANIFEST.read_text(encoding="utf-8")))


def pods() -> dict[str, dict]:
    """Specifications of the pods by the name of what creates them."""
    return {
        each["metadata"]["name"]: each["spec"]["template"]["spec"]
        for each in read_manifest()
        if "template" in each.get("spec", {})
    }


def example_variables() -> dict[str, str]:
    text = (DEPLOY / "cluster.env.example").read_text(encoding="utf-8")
    return dict(re.findall(r"^(\w+)=(.*)$", text, flags=re.MULTILINE))


def test_the_manifest_is_valid_by_the_schemas_of_kubernetes():
    for resource in read_manifest():
        kubernetes_validate.validate(resource, "1.37", strict=True)
    broken = read_manifest()[2]
    broken["spec"]["replica"] = 1
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, "1.37", strict=True)


def test_names_in_the_manifest_refer_to_what_it_creates():
    made = {(each["kind"], each["metadata"]["name"]) for each in read_manifest()}
    assert {each["metadata"].get("namespace", NAMESPACE) for each in read_manifest()} == {NAMESPACE}
    (config,) = [each["data"] for each in read_manifest() if each["kind"] == "ConfigMap"]
    assert ("Service", "scheduler") in made
    assert config["CRYPTOLIQ_DASK_ADDRESS"] == "tcp://scheduler:8786"
    assert {name for name in config if name.startswith("CRYPTOLIQ_")} <= set(Settings.variables())
    for name, pod in pods().items():
        assert pod["securityContext"]["runAsUser"] == 10001, name
        for container in pod["containers"]:
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["resources"]["limits"]["memory"]
            if name != "scheduler":
                assert container["envFrom"] == [
                    {"configMapRef": {"name": "cryptoliq"}},
                    {"secretRef": {"name": "cryptoliq"}},
                ]


def test_only_own_pods_reach_scheduler_and_workers():
    (policy,) = [each["spec"] for each in read_manifest() if each["kind"] == "NetworkPolicy"]
    (chosen,) = policy["podSelector"]["matchExpressions"]
    assert (chosen["key"], set(chosen["values"])) == ("app", {"scheduler", "worker"})
    assert policy["ingress"] == [{"from": [{"podSelector": {"matchLabels": {"part-of": "cryptoliq"}}}]}]
    labels = [
        each["spec"]["template"]["metadata"]["labels"] for each in read_manifest() if "template" in each.get("spec", {})
    ]
    assert {label["part-of"] for label in labels} == {"cryptoliq"}


def test_the_profile_has_scheduler_workers_and_object_store():
    services = read_compose()["services"]
    profiles = {name for name, service in services.items() if service.get("profiles") == ["cluster"]}
    assert profiles == set(CLUSTER_SERVICES)
    assert services["worker"]["deploy"]["replicas"] == 2
    assert services["scheduler"]["environment"]["DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES"] == "0"
    # A worker proves the lock in the database of the run.
    assert services["worker"]["environment"] == services["code"]["environment"]
    assert not [name for name in CLUSTER_SERVICES if "ports" in services[name]]


def test_the_example_has_the_addresses_of_the_profile():
    services, values = read_compose()["services"], example_variables()
    assert values["CRYPTOLIQ_DASK_ADDRESS"] == services["worker"]["command"][1] == "tcp://scheduler:8786"
    port = services["objects"]["command"][services["objects"]["command"].index("--port") + 1]
    assert values["AWS_ENDPOINT_URL"] == f"http://objects{port}"
    bucket = values["CRYPTOLIQ_STORAGE__URL"].split("/")[2]
    assert services["objects"]["volumes"] == [f"objects:/data/{bucket}"]
    assert {name for name in values if name.startswith("CRYPTOLIQ_")} <= set(Settings.variables())
    assert "/deploy/cluster.env" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()


def commands() -> list[list[str]]:
    services = read_compose()["services"]
    composed = [services[name]["entrypoint"] + services[name]["command"] for name in ("scheduler", "worker")]
    deployed = [
        [*c["command"], *c.get("args", [])] for name in ("scheduler", "worker") for c in pods()[name]["containers"]
    ]
    text = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")
    documented = [
        line.partition("dask ")[2].split() for line in text.splitlines() if re.match(r"(\w+=\w+ )?dask ", line)
    ]
    return [*composed, *deployed, *(["dask", *words] for words in documented)]


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_each_dask_command_has_options_that_exist(words: list[str]):
    program, name, *arguments = words
    assert program == "dask"
    (entry,) = entry_points(group="dask_cli", name=name)
    command = entry.load()
    known = {option for parameter in command.params for option in [*parameter.opts, *parameter.secondary_opts]}
    assert {argument for argument in arguments if argument.startswith("--")} <= known
    assert CliRunner().invoke(command, ["--help"]).exit_code == 0


def test_the_documented_launcher_has_names_of_the_manifest():
    text = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")
    launcher = yaml.safe_load(text.split("```yaml\n")[1].split("```")[0])["run_launcher"]
    assert (launcher["module"], launcher["class"]) == ("dagster_k8s", "K8sRunLauncher")
    config = launcher["config"]
    assert config["job_namespace"] == NAMESPACE
    assert ("ConfigMap", config["env_config_maps"][0]) in {
        (each["kind"], each["metadata"]["name"]) for each in read_manifest()
    }
    assert config["run_k8s_config"]["pod_template_spec_metadata"]["labels"] == {"part-of": NAMESPACE}
