"""A Dagster logger that forwards the messages of a run in this process, to the progress line of the command line.

What the messages look like belongs in `cli`.
"""

import logging
from collections.abc import Callable

import dagster as dg

PROGRESS_LOGGER = "progress"
_NAME = "cryptoliq.run"


@dg.logger(None, description="Forwards the messages of a run in this process to the command line.")
def progress_logger(_: dg.InitLoggerContext) -> logging.Logger:
    """Return the logger that `show_progress` attaches callbacks to."""
    logger = logging.getLogger(_NAME)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    return logger


class _Forward(logging.Handler):
    def __init__(self, on_step: Callable[[str], None], on_message: Callable[[str, int], None]) -> None:
        super().__init__(logging.DEBUG)
        self.on_step, self.on_message = on_step, on_message

    def emit(self, record: logging.LogRecord) -> None:
        meta = getattr(record, "dagster_meta", {})
        event = meta.get("dagster_event")
        if event is None and record.levelno >= logging.INFO:
            self.on_message(meta.get("orig_message", record.getMessage()), record.levelno)
        elif event is not None and event.event_type_value == "STEP_START":
            self.on_step(event.step_key)


def show_progress(on_step: Callable[[str], None], on_message: Callable[[str, int], None]) -> None:
    """Forward the runs that follow in this process.

    Args:
        on_step: Called with the name of each step as it starts.
        on_message: Called with each message and its logging level.
    """
    logging.getLogger(_NAME).handlers = [_Forward(on_step, on_message)]
