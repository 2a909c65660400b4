"""The registry of pages: menu, tests and README follow it; a page declared in part fails with the line to add."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from cryptoliq_assets.dashboard import PageRegistrationError, load_pages
from cryptoliq_assets.dashboard.page_registry import check_pages
from cryptoliq_assets_tests.support.paths import ROOT

COMPLETE = """
from cryptoliq_assets.dashboard import Page, render_page

PAGE = Page("Coverage", icon=":material/percent:", order=70)


def show(source):
    pass


if __name__ == "__main__":
    render_page(PAGE, show)
"""


def module(folder: Path, text: str, name: str = "coverage_page") -> ModuleType:
    path = folder / f"{name}.py"
    path.write_text(text, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(name, path)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def test_a_complete_page_is_registered(tmp_path):
    pages = check_pages({"coverage": module(tmp_path, COMPLETE)})
    assert [page.title for page in pages.values()] == ["Coverage"]


@pytest.mark.parametrize(
    ("given", "written", "message"),
    [
        ("PAGE = Page", "OTHER = Page", r"pages/coverage\.py declares no page: add the line PAGE = Page\("),
        ('"Coverage"', '" "', r"no title or no Material icon: write the line PAGE = Page\("),
        (":material/percent:", "%", r"no title or no Material icon"),
        ("def show", "def draw", r"draws nothing: add the function def show\(source: Source\)"),
        ("    render_page(PAGE, show)", "    pass", r"does not run: add the lines at its end\nif __name__ == "),
    ],
)
def test_a_page_declared_in_part_fails_with_the_line(given, written, message, tmp_path):
    text = COMPLETE.replace(given, written)
    with pytest.raises(PageRegistrationError, match=message):
        check_pages({"coverage": module(tmp_path, text)})


@pytest.mark.parametrize(
    ("given", "written", "label"),
    [
        ("order=70", "order=71", "title"),
        ('"Coverage"', '"Other"', "order"),
        (
            '"Coverage", icon=":material/percent:", order=70',
            '"A", icon=":material/b:", order=1, url_path="coverage"',
            "path",
        ),
    ],
)
def test_two_pages_cannot_share_a_declaration(given, written, label, tmp_path):
    first, second = module(tmp_path, COMPLETE), module(tmp_path, COMPLETE.replace(given, written), "second_page")
    with pytest.raises(PageRegistrationError, match=rf"other\.py and coverage\.py have the same {label}"):
        check_pages({"coverage": first, "other": second})


def test_every_module_of_pages_is_in_the_menu_market_first():
    folder = ROOT / "cryptoliq_assets" / "dashboard" / "pages"
    assert set(load_pages()) == {path.stem for path in folder.glob("*.py")} - {"__init__"}
    assert next(iter(load_pages())) == "market"


def test_the_readme_lists_the_pages_in_menu_order():
    text = (ROOT / "README.md").read_text(encoding="utf-8").partition("| page | what it shows |\n|---|---|\n")[2]
    listed = re.findall(r"^\| ([^|]+) \|", text.partition("\n\n")[0], re.MULTILINE)
    titles = [page.title for page in load_pages().values()]
    missing = [f"| {title} | … |" for title in titles if title not in listed]
    assert listed == titles, f"add to the table of pages in README.md, in the order of the menu: {missing}"
