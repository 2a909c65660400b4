"""The `cryptoliq` command: entry point, console output, options.

Commands are in `cli.commands`. What a command does belongs in an earlier layer.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
