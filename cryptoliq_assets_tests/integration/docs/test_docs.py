"""The documentation matches the code."""

import re
from pathlib import Path

import yaml

from cryptoliq_assets.cli.main import COMMANDS
from cryptoliq_assets.core.config import Settings
from cryptoliq_assets.monitoring.findings import ALERT_KINDS
from cryptoliq_assets_tests.support.code_blocks import PAGES
from cryptoliq_assets_tests.support.paths import ROOT
from tools.data_contracts import document


def test_the_data_contracts_page_equals_the_models():
    assert (ROOT / "docs" / "data-contracts.md").read_text(encoding="utf-8") == document()


def test_the_operations_page_lists_every_setting_with_a_text():
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    for variable, field in Settings.variables().items():
        default = "" if field.default is None else f"`{field.default}`"
        assert f"| `{variable}` | {default} | {field.description} |" in page


def test_the_operations_page_lists_exactly_the_alert_kinds():
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    table = page.split("| kind | what it means | what to do |")[1].split("\n\n")[0].strip().splitlines()[1:]
    assert table == [f"| `{name}` | {kind.title} | {kind.remedy} |" for name, kind in ALERT_KINDS.items()]


def test_the_readme_lists_exactly_the_commands():
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    section = page.split("## Commands")[1].split("Exit codes")[0]
    documented = {word.split()[0] for word in section.split("`")[1::2] if not word.startswith("cryptoliq")}
    assert documented == set(COMMANDS)


def test_no_page_installs_this_unpublished_project_from_pypi():
    pages = [*PAGES, *(ROOT / "cryptoliq_assets").rglob("*.py")]
    assert [page.name for page in pages if "cryptoliq[" in page.read_text(encoding="utf-8")] == []


def test_links_between_pages_point_to_existing_files():
    for page in PAGES:
        for link in page.read_text(encoding="utf-8").split("](")[1:]:
            target, _, anchor = link.split(")")[0].partition("#")
            if "://" in target:
                continue
            linked_file = page.parent / target if target else page
            assert linked_file.exists(), f"{page.name} links to {target}, which does not exist"
            assert not anchor or anchor in anchors(linked_file), (
                f"{page.name} links to {target}#{anchor}, which does not exist"
            )


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives headings: lower case, hyphens for spaces, no punctuation."""
    titles = re.findall(
        r"^#+ (.*)$", re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL), re.MULTILINE
    )
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_operations_page_lists_exactly_the_prometheus_rules():
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    table = page.split("| rule | what it means | what to do |")[1].split("\n\n")[0]
    groups = yaml.safe_load((ROOT / "deploy" / "alerts.yml").read_text(encoding="utf-8"))["groups"]
    assert re.findall(r"`(Cryptoliq\w+)`", table) == [rule["alert"] for group in groups for rule in group["rules"]]
