"""The `cryptoliq` command: entry point, console output, common options, result tables.

Add a command as a module of `cli.commands` and a line in `COMMANDS` of `main.py`.
What a command computes belongs in an earlier layer.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
