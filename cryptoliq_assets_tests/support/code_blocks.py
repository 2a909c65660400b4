"""Code in README and docs: fenced blocks and inline code."""

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
# The language of shell blocks; no other blocks are run.
SHELL_LANGUAGE = "sh"
_OPERATORS = {"|", "||", "&&", ";", "&", "(", ")", "()"}


@dataclass(frozen=True)
class Block:
    """A fenced block, its language (SHELL_LANGUAGE for shells) and the heading above it."""

    page: str
    section: str
    language: str
    text: str

    @property
    def lines(self) -> list[str]:
        """Return the commands as a shell reads them: continued lines and multi-line quotes joined."""
        commands, pending = [], ""
        for line in self.text.replace("\\\n", " ").splitlines():
            pending = f"{pending}\n{line}" if pending else line
            try:
                shlex.split(pending, comments=True)
            except ValueError:
                continue
            commands.append(pending)
            pending = ""
        assert not pending, f"{self.page}, {self.section}: a quote is not closed in {pending!r}"
        return [line for line in commands if line.strip() and not line.lstrip().startswith("#")]


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    blocks = []
    for match in _FENCED.finditer(text):
        # Comments in earlier blocks are no headings.
        above = _HEADING.findall(_FENCED.sub("", text[: match.start()]))
        blocks.append(Block(page.name, above[-1], match[2], textwrap.dedent(match[3])))
    return blocks


def inline_of(page: Path) -> list[str]:
    return [" ".join(piece.split()) for piece in _INLINE.findall(_FENCED.sub("", page.read_text(encoding="utf-8")))]


def commands_in(line: str) -> list[str]:
    """Return the commands of a line, without variables before them and the folder of a virtual environment."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    commands: list[list[str]] = [[]]
    for word in lexer:
        if word in _OPERATORS:
            commands.append([])
        elif commands[-1] or not re.fullmatch(r"\w+=.*", word, re.DOTALL):
            commands[-1].append(word if commands[-1] else re.sub(r"^\S*/bin/", "", word))
    return [" ".join(words) for words in commands if words]


BLOCKS = [block for page in PAGES for block in blocks_of(page)]
