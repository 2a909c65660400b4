"""A Dagster logger that hands a run's messages to whoever shows them: the command line's progress line."""

import logging
from collections.abc import Callable

import dagster as dg

PROGRESS_LOGGER = "progress"
_NAME = "cryptoliq.run"


@dg.logger(description="Hands the messages of a run in this process to whoever shows them.")
def progress_logger(_: dg.InitLoggerContext) -> logging.Logger:
    logger = logging.getLogger(_NAME)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    return logger


class _Forward(logging.Handler):
    def __init__(self, step: Callable[[str], None], say: Callable[[str, int], None]) -> None:
        super().__init__(logging.DEBUG)
        self.step, self.say = step, say

    def emit(self, record: logging.LogRecord) -> None:
        meta = getattr(record, "dagster_meta", {})
        event = meta.get("dagster_event")
        if event is None and record.levelno >= logging.INFO:
            self.say(meta.get("orig_message", record.getMessage()), record.levelno)
        elif event is not None and event.event_type_value == "STEP_START":
            self.step(event.step_key)


def show_progress(step: Callable[[str], None], say: Callable[[str, int], None]) -> None:
    """From now on runs in this process tell `step` each step begun, and `say` each message with its level."""
    logging.getLogger(_NAME).handlers = [_Forward(step, say)]
