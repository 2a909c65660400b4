"""One module per group of commands, imported only when a command of it is called."""

__all__: list[str] = []
