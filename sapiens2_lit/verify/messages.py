"""Keep messages of libraries and of this package's log off the terminal, so that the table stays readable."""

import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_LOADED = re.compile(r"\d+ tensors loaded.*")
OURS, LIGHTNING = "sapiens2_lit", ("lightning.pytorch", "lightning.fabric", "lightning")


class Kept(logging.Handler):
    """A handler that keeps the messages of a log."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the message of a record."""
        self.messages.append(record.getMessage())


@contextmanager
def kept() -> Iterator[Kept]:
    """Within this block, keep this package's log, and let libraries report only errors."""
    handler, ours = Kept(), logging.getLogger(OURS)
    before, level = list(ours.handlers), ours.level
    levels = {name: logging.getLogger(name).level for name in LIGHTNING}
    ours.handlers[:] = [handler]
    ours.setLevel(logging.INFO)
    for name in LIGHTNING:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield handler
    finally:
        ours.handlers[:] = before
        ours.setLevel(level)
        for name, one in levels.items():
            logging.getLogger(name).setLevel(one)


def loaded(handler: Kept) -> str:
    """Return the last report of a strict loading, without the name of the file."""
    found = (_LOADED.search(message) for message in reversed(handler.messages))
    return next((match[0] for match in found if match), "")
