"""Docstrings name the parameters of their function, and what it raises."""

import ast
import re
from collections.abc import Iterator

from cryptoliq_assets_tests.support.paths import ROOT

PACKAGE = ROOT / "cryptoliq_assets"
MODULES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))
# A public function of three or more parameters has an Args section, or refers to the one that has it ("see `name`"). Not here:
# assets and checks have the parameters of Dagster, and the help of a command describes its options.
EXEMPT = ("cli/commands/", "orchestration/assets/", "orchestration/checks/")
# Declared by pydantic.
OVERRIDES = {"settings_customise_sources"}


def documented(docstring: str) -> list[str] | None:
    """The names of the Args section; None without one."""
    section = re.search(r"^Args:\n((?:    .*(?:\n|$))+)", docstring, re.MULTILINE)
    return re.findall(r"^    (\w+):", section.group(1), re.MULTILINE) if section else None


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    declared = function.args
    named = [*declared.posonlyargs, *declared.args, *declared.kwonlyargs]
    return [each.arg for each in named if each.arg not in ("self", "cls")]


def variadic(function: ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
    """The names of *args and **kwargs, which the section may leave out."""
    return {each.arg for each in (function.args.vararg, function.args.kwarg) if each is not None}


def public_nodes(module: ast.Module) -> Iterator[ast.stmt]:
    """The statements of a module and of its classes; functions inside functions are not public."""
    for node in module.body:
        yield from node.body if isinstance(node, ast.ClassDef) else (node,)


def problems(source: str, *, complete: bool) -> list[str]:
    """The public functions whose Args section is missing or wrong."""
    found = []
    for node in public_nodes(ast.parse(source)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or node.name.startswith("_"):
            continue
        docstring, names = ast.get_docstring(node), parameters(node)
        if docstring is None or node.name in OVERRIDES:
            continue
        listed = documented(docstring)
        if listed is None and complete and len(names) >= 3 and "see `" not in docstring.lower():
            found.append(f"line {node.lineno}: {node.name} has no Args section")
        elif listed is not None and [name for name in listed if name not in variadic(node)] != names:
            found.append(f"line {node.lineno}: Args of {node.name} names {listed}, the signature {names}")
    return found


def test_args_of_docstrings_name_the_parameters():
    found = []
    for path in MODULES:
        complete = not path.as_posix().startswith(EXEMPT)
        source = (PACKAGE / path).read_text(encoding="utf-8")
        found += [f"{path}, {problem}" for problem in problems(source, complete=complete)]
    assert not found


def test_a_wrong_or_missing_section_is_found():
    wrong = 'def f(a, b):\n    """Add.\n\n    Args:\n        a: One.\n    """'
    assert problems(wrong, complete=False) == ["line 1: Args of f names ['a'], the signature ['a', 'b']"]
    assert problems('def f(a, b, c):\n    """Add."""', complete=True) == ["line 1: f has no Args section"]
    assert problems('def f(a, b, c):\n    """Add."""', complete=False) == []


def raised(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    """The exceptions that a function raises itself, not in a function inside it."""
    found, remaining = [], list[ast.AST](function.body)
    while remaining:
        node = remaining.pop()
        if isinstance(node, ast.Raise) and node.exc is not None:
            found.append(ast.unparse(node.exc))
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            remaining += ast.iter_child_nodes(node)
    return found


def undocumented_errors(source: str) -> list[str]:
    """The public functions that raise something and whose docstring does not say so."""
    return [
        f"line {node.lineno}: {node.name} raises {errors[0]} and has no Raises section"
        for node in public_nodes(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and not node.name.startswith("_")
        and (docstring := ast.get_docstring(node)) is not None
        and "raise" not in docstring.lower()
        and (errors := raised(node))
    ]


def test_docstrings_state_what_is_raised():
    # Commands and pages end with a message; assets and checks raise what Dagster shows.
    exempt = (*EXEMPT, "cli/main.py", "dashboard/")
    found = []
    for path in MODULES:
        if not path.as_posix().startswith(exempt):
            source = (PACKAGE / path).read_text(encoding="utf-8")
            found += [f"{path}, {problem}" for problem in undocumented_errors(source)]
    assert not found


def test_an_undocumented_error_is_found():
    code = 'def f(a):\n    """Add."""\n    if a:\n        raise ValueError(a)'
    assert undocumented_errors(code) == ["line 1: f raises ValueError(a) and has no Raises section"]
    assert undocumented_errors(code.replace("Add.", "Add; raises ValueError without a.")) == []
