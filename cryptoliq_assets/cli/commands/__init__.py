"""Commands of the command line: one module per group of commands, imported when one of its commands is called.

Add a command here and to `COMMANDS` in `cli/main.py`. A command parses options and prints; it computes nothing.
"""

__all__: list[str] = []
