"""Tables of the documentation: unbroken, and with messages that the code really prints."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from cryptoliq_assets_tests.support.code_blocks import PAGES
from cryptoliq_assets_tests.support.paths import ROOT

OPERATIONS = ROOT / "docs" / "operations.md"
# In a quoted message, what differs from case to case: …, <name>, VERSION and numbers, also in months.
PLACEHOLDER = re.compile(r"…|<\w+>|\b[A-Z]{4,}\b|\d[\d-]*%?")


@cache
def templates() -> list[str]:
    """The texts of the source, with \\0 for each value in them."""
    found = []
    for path in sorted((ROOT / "cryptoliq_assets").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                values = [value.value if isinstance(value, ast.Constant) else "\0" for value in node.values]
                found.append("".join(map(str, values)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
                found.append(node.value)
    return found


def is_printed(message: str) -> bool:
    """Whether a text of the source has all parts of the message between its placeholders, in their order."""
    parts = [re.escape(part.strip()) for part in PLACEHOLDER.split(message) if part.strip()]
    pattern = re.compile(".*".join(parts), re.DOTALL)
    return any(pattern.search(template) for template in templates())


def quoted_messages() -> list[str]:
    """The messages in the first column of the tables that explain messages and symptoms."""
    page = OPERATIONS.read_text(encoding="utf-8")
    tables = re.findall(r"^\| (?:message|symptom) \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", page, re.MULTILINE)
    cells = [row.split(" | ")[0] for table in tables for row in table.splitlines()]
    quoted = [text for cell in cells for text in re.findall(r"`([^`]+)`", cell)]
    # Others are names of checks, files and folders.
    return [text for text in quoted if " " in text]


@pytest.mark.parametrize("message", quoted_messages())
def test_a_quoted_message_is_one_that_the_code_prints(message: str):
    assert is_printed(message)


def test_a_message_that_no_code_prints_is_found():
    assert len(quoted_messages()) > 30
    assert not is_printed("no candidate passed the gate")
    assert is_printed("2025-03 is not refreshed: …")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_tables_are_contiguous(page: Path):
    lines = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL).splitlines()
    headless = [
        line
        for before, line, after in zip(["", *lines], lines, [*lines[1:], ""], strict=False)
        if line.startswith("|") and not before.startswith("|") and not re.fullmatch(r"\|[-:| ]+\|", after)
    ]
    assert headless == [], f"{page.name}: a blank line ends a table before these rows"
