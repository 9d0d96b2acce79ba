"""What a user can get wrong, as exceptions that say where and how to mend it.

Each message names the file and the field, what was found and what was expected. The command line prints
the message alone; in Python they are `ValueError`s.
"""


class SapiensError(ValueError):
    """Base of every error that the user, not the program, can mend."""


class DataError(SapiensError):
    """A dataset: an annotation file, an image, a label."""


class WeightsError(SapiensError):
    """A weights file: not found, not weights, or not of this model."""


class SettingError(SapiensError):
    """A setting of the command line, a YAML file or a constructor."""


class Interrupted(Exception):
    """A signal asked the command to end, and it did so in order.

    Args:
        signal: its number.
        message: what happened, and how to go on.
    """

    def __init__(self, signal: int, message: str) -> None:
        super().__init__(message)
        self.signal = signal

    def with_advice(self, advice: str) -> "Interrupted":
        """The same, whose message ends in how to go on."""
        return Interrupted(self.signal, f"{self}; {advice}")


class TrainingError(SapiensError):
    """Training went wrong because of its input, as with a loss that is not finite."""


class ExportError(SapiensError):
    """An export does not compute what the model does, or a library that it needs is not there."""
