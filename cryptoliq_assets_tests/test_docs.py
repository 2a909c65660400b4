"""The documentation and the code tell the same story."""

from pathlib import Path

from cryptoliq_assets.cli import _COMMANDS
from cryptoliq_assets.monitor.conditions import KINDS
from cryptoliq_assets.schemas.document import document
from cryptoliq_assets.settings import Settings

ROOT = Path(__file__).parents[1]


def test_data_contracts_page_is_what_the_models_say():
    assert (ROOT / "docs" / "data-contracts.md").read_text(encoding="utf-8") == document()


def test_operations_page_lists_every_setting_with_its_meaning():
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    for name, field in Settings.model_fields.items():
        default = "" if field.default is None else f"`{field.default}`"
        assert f"| `CRYPTOLIQ_{name.upper()}` | {default} | {field.description} |" in page


def test_operations_page_lists_every_kind_of_alert_and_no_other():
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    table = page.split("| kind | what it means | what to do |")[1].split("\n\n")[0].strip().splitlines()[1:]
    assert table == [f"| `{name}` | {kind.title} | {kind.to_do} |" for name, kind in KINDS.items()]


def test_readme_names_every_command_and_no_other():
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    section = page.split("## Commands")[1].split("Exit codes")[0]
    named = {word.split()[0] for word in section.split("`")[1::2] if not word.startswith("cryptoliq")}
    assert named == set(_COMMANDS)


def test_nobody_is_sent_to_a_registry_for_this_project_which_is_published_nowhere():
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "cryptoliq_assets").rglob("*.py")]
    assert [page.name for page in pages if "cryptoliq[" in page.read_text(encoding="utf-8")] == []


def test_links_between_the_pages_lead_to_files():
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for link in page.read_text(encoding="utf-8").split("](")[1:]:
            target = link.split(")")[0].split("#")[0]
            if target and "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} links to {target}, which is not there"
