"""Write docs/licences.md: the licence of each pinned package, as its own metadata say it.

python .ci/licences.py [SITE-PACKAGES…]     of this environment, and of others that hold what is not installed here
"""

import re
import sys
from importlib.metadata import Distribution, distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FILES = {
    "requirements.txt": "all",
    "requirements-serve.txt": "service",
    "requirements-dev.txt": "development",
    "requirements-bench.txt": "benchmarks",
}
HEAD = """# Licences

Of every pinned package, as its metadata say it. Made by `python .ci/licences.py`; cryptoliq itself is under Apache-2.0 ([LICENSE](../LICENSE)). "in" names the
installations that have it: all (requirements.txt), service (requirements-serve.txt), development (requirements-dev.txt) and benchmarks (requirements-bench.txt), both in no image.

| package | version | licence | in |
|---|---|---|---|
"""


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pinned() -> dict[tuple[str, str], list[str]]:
    """(package, version) → installations that have it."""
    found: dict[tuple[str, str], list[str]] = {}
    for file, label in FILES.items():
        for line in (ROOT / file).read_text(encoding="utf-8").splitlines():
            match = re.match(r"([A-Za-z0-9._-]+)==([^\s;]+)", line)
            if match:
                found.setdefault((normal(match[1]), match[2]), []).append(label)
    return found


def licence(of: Distribution) -> str:
    """Its expression, else the first line of its licence where that is a name, else its classifiers."""
    said = of.metadata.get("License-Expression")
    line = (of.metadata.get("License") or "").strip().split("\n")[0]
    classes = [text.rpartition(" :: ")[2] for text in of.metadata.get_all("Classifier") or [] if "License ::" in text]
    names_it = 0 < len(line) <= 60 and not re.search("copyright|dual", line, re.IGNORECASE)
    return said or (line if names_it else "") or "; ".join(classes) or "unknown"


def main(folders: list[str]) -> None:
    known: dict[tuple[str, str], str] = {}
    for found in distributions(path=[*sys.path, *folders]):
        known.setdefault((normal(found.name), found.version), licence(found))
    rows = []
    for (name, version), where in sorted(pinned().items()):
        if (name, version) not in known:
            sys.exit(f"{name} {version} is not installed here: name the site-packages of an environment that has it")
        rows.append(f"| {name} | {version} | {known[name, version]} | {', '.join(where)} |")
    (ROOT / "docs" / "licences.md").write_text(HEAD + "\n".join(rows) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
