"""Set up the messages of the command line: this package's own, and those of libraries that help the user."""

import logging
import os
import sys
import warnings
from typing import TextIO

NOISE = (
    "LightningCLI's args parameter",
    ".*LeafSpec.*is deprecated",
    "Checkpoint directory .* exists and is not empty",  # a run that goes on
    "Be aware that when using `ckpt_path`, callbacks",  # an evaluation writes no checkpoints
    "The number of training batches .* is smaller than the logging interval",  # steps count across epochs
    r"Found \d+ module\(s\) in eval mode at the start of training",  # frozen modules; the model summary names them
    "Total length of `list` across ranks is zero",  # data.val: null
)
NOISY = (
    "`Trainer.fit` stopped: ",  # the last lines of `fit` say more
    "💡",
    "TPU available: False",
    "Seed set to",
    "`Trainer(val_check_interval=",  # validate_in_steps sets it
    "`weights_only` was not set",
    "is an Enum subclass",
)  # parts of records; the last comes from importing torchao


def set_up_messages() -> None:
    """Show this package's messages; drop advertisements and warnings of libraries that users cannot act on."""
    os.environ.setdefault("JSONARGPARSE_DEPRECATION_WARNINGS", "off")  # caused by Lightning's calls
    for message in NOISE:
        warnings.filterwarnings("ignore", message=message)
    for name in (
        "fabric.utilities.rank_zero",
        "fabric.utilities.seed",
        "pytorch.utilities.rank_zero",
        "pytorch.trainer.connectors.checkpoint_connector",
    ):
        logging.getLogger(f"lightning.{name}").addFilter(is_no_noise)
    logging.getLogger("torch.utils._pytree").addFilter(is_no_noise)
    ours = logging.getLogger("sapiens2_lit")
    ours.setLevel(logging.INFO if os.environ.get("LOCAL_RANK", "0") == "0" else logging.WARNING)
    if not ours.handlers:
        ours.addHandler(ToStandardError())


class ToStandardError(logging.StreamHandler[TextIO]):
    """Write to the current standard error, since a caller may redirect it for a while and close that file again."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record to the current standard error."""
        self.stream = sys.stderr
        super().emit(record)


def is_no_noise(record: logging.LogRecord) -> bool:
    """Return whether a log record should be shown."""
    return not any(noise in record.getMessage() for noise in NOISY)
