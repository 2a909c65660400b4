"""The Dockerfile: its instructions, stages and images."""

import re
import shlex

from cryptoliq_assets_tests.support.paths import ROOT

TEXT = (ROOT / "Dockerfile").read_text(encoding="utf-8")


def instructions() -> list[tuple[str, str]]:
    """Return pairs (INSTRUCTION, arguments), with continued lines joined and without comments."""
    lines = [line for line in TEXT.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [(name.upper(), rest.strip()) for name, _, rest in (line.partition(" ") for line in joined.splitlines())]


def arguments_of(name: str) -> list[str]:
    return [rest for instruction, rest in instructions() if instruction == name]


def copied_sources() -> list[list[str]]:
    """Return the sources of each COPY from the build context."""
    words = [shlex.split(rest) for rest in arguments_of("COPY")]
    return [
        [word for word in line[:-1] if not word.startswith("--")]
        for line in words
        if not any(word.startswith("--from=") for word in line)
    ]


def stages() -> list[list[tuple[str, str]]]:
    found: list[list[tuple[str, str]]] = []
    for instruction in instructions():
        if instruction[0] == "FROM":
            found.append([])
        found[-1].append(instruction)
    return found


def base_and_name(stage: list[tuple[str, str]]) -> tuple[str, str]:
    """Return base and name of a stage; the last has the name ""."""
    base, _, name = stage[0][1].partition(" AS ")
    return base, name


def image_instructions(name: str) -> list[tuple[str, str]]:
    """Return all instructions of an image, starting with those of the stages that it is built from."""
    stage = next(stage for stage in stages() if base_and_name(stage)[1] == name)
    base = base_and_name(stage)[0]
    return (image_instructions(base) if base in [base_and_name(other)[1] for other in stages()] else []) + stage
