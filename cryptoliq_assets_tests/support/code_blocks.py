"""The code that README and docs show: fenced blocks, and what stands inline."""

import re
import shlex
import textwrap
from dataclasses import dataclass
from pathlib import Path

from cryptoliq_assets_tests.support.paths import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_FENCED = re.compile(r"^( *)```(\w*)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
_INLINE = re.compile(r"(?<!`)`([^`\n]+(?:\n[^`\n]+)?)`(?!`)")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
# How a block for a shell is marked: no other is run.
SHELL_LANGUAGE = "sh"
_OPERATORS = {"|", "||", "&&", ";", "&", "(", ")", "()"}


@dataclass(frozen=True)
class Block:
    """A fenced block; language is SHELL_LANGUAGE for what a shell takes, section the heading above it."""

    page: str
    section: str
    language: str
    text: str

    @property
    def lines(self) -> list[str]:
        """Commands as the shell sees them: continued lines and quotes over several lines joined."""
        found, begun = [], ""
        for line in self.text.replace("\\\n", " ").splitlines():
            begun = f"{begun}\n{line}" if begun else line
            try:
                shlex.split(begun, comments=True)
            except ValueError:
                continue
            found.append(begun)
            begun = ""
        assert not begun, f"{self.page}, {self.section}: a quote is not closed in {begun!r}"
        return [line for line in found if line.strip() and not line.lstrip().startswith("#")]


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    found = []
    for match in _FENCED.finditer(text):
        # A comment in a block before is no heading.
        above = _HEADING.findall(_FENCED.sub("", text[: match.start()]))
        found.append(Block(page.name, above[-1], match[2], textwrap.dedent(match[3])))
    return found


def inline_of(page: Path) -> list[str]:
    return [" ".join(piece.split()) for piece in _INLINE.findall(_FENCED.sub("", page.read_text(encoding="utf-8")))]


def commands_in(line: str) -> list[str]:
    """The commands that a line calls one after the other: no variables before them, no folder of a virtual environment."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    found: list[list[str]] = [[]]
    for word in lexer:
        if word in _OPERATORS:
            found.append([])
        elif found[-1] or not re.fullmatch(r"\w+=.*", word, re.DOTALL):
            found[-1].append(word if found[-1] else re.sub(r"^\S*/bin/", "", word))
    return [" ".join(words) for words in found if words]


BLOCKS = [block for page in PAGES for block in blocks_of(page)]
