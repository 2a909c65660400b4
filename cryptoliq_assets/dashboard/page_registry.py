"""The registry of pages: every module of `pages/` declares one `PAGE`, and the menu is derived from them.

Nothing else lists pages. Add nothing here for a new page; a module that declares itself only in part fails when the app starts.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType

_PACKAGE = "cryptoliq_assets.dashboard.pages"
_DECLARATION = 'PAGE = Page("Title", icon=":material/table_chart:", order=70)'
# Streamlit runs the file of a page as a script; the registry imports it.
_RUN = 'if __name__ == "__main__":\n    render_page(PAGE, show)'


class PageRegistrationError(ValueError):
    """A page is not declared, or only in part; the message has the line to add."""


@dataclass(frozen=True)
class Page:
    """What the menu shows of a page.

    Args:
        title: Heading of the page, and its entry in the menu.
        icon: Material icon of the menu.
        order: Place in the menu, ascending; the first page is the start page.
        url_path: Path in the address bar; None for the name of the module.
    """

    title: str
    icon: str
    order: int
    url_path: str | None = None


def check_pages(modules: Mapping[str, ModuleType]) -> dict[str, Page]:
    """Return the pages of modules by module name, in the order of the menu.

    Args:
        modules: Modules by name within `pages/`.

    Raises:
        PageRegistrationError: A module declares no page, or two pages share a title, a place or a path.
    """
    pages: dict[str, Page] = {}
    for name, module in modules.items():
        where = f"dashboard/pages/{name}.py"
        page = getattr(module, "PAGE", None)
        if not isinstance(page, Page):
            raise PageRegistrationError(f"{where} declares no page: add the line {_DECLARATION}")
        if not page.title.strip() or not page.icon.startswith(":material/"):
            raise PageRegistrationError(f"{where} has no title or no Material icon: write the line {_DECLARATION}")
        if not callable(getattr(module, "show", None)):
            raise PageRegistrationError(f"{where} draws nothing: add the function def show(source: Source) -> None:")
        if _RUN not in inspect.getsource(module):
            raise PageRegistrationError(f"{where} does not run: add the lines at its end\n{_RUN}")
        for other, taken in pages.items():
            for label, own, existing in (
                ("title", page.title, taken.title),
                ("order", page.order, taken.order),
                ("path", page.url_path or name, taken.url_path or other),
            ):
                if own == existing:
                    raise PageRegistrationError(
                        f"{where} and {other}.py have the same {label} {own!r}: change one PAGE"
                    )
        pages[name] = page
    return dict(sorted(pages.items(), key=lambda item: item[1].order))


def load_pages() -> dict[str, Page]:
    """Import all modules of pages, and return what they declare, in the order of the menu.

    Raises:
        PageRegistrationError: A page is not declared, or only in part.
    """
    package = importlib.import_module(_PACKAGE)
    names = [info.name for info in pkgutil.iter_modules(package.__path__)]
    return check_pages({name: importlib.import_module(f"{_PACKAGE}.{name}") for name in names})
