"""What a user can get wrong, as exceptions that say where and how to mend it.

Each message names the file and the field, what was found and what was expected. The command line prints
the message alone; in Python they are `ValueError`s.
"""

from collections.abc import Sequence


class SapiensError(ValueError):
    """Base of every error that the user, not the program, can mend."""


class DataError(SapiensError):
    """A dataset: an annotation file, an image, a label."""


class WeightsError(SapiensError):
    """A weights file: not found, not weights, or not of this model."""


class DamagedError(WeightsError):
    """A file is not what was written: its checksum says so.

    Args:
        place: the file, and the tensor in it.
    """

    def __init__(self, place: str) -> None:
        super().__init__(
            f"{place}: its checksum does not match: the file is damaged: bytes in it have changed. "
            "Take another copy of it; `--verify false` loads it all the same."
        )


class UntrustedError(WeightsError):
    """A file names classes that it may not name, and the user has not said that they are trusted.

    Args:
        place: the file, and where in it.
        class_paths: what it names.
    """

    def __init__(self, place: str, class_paths: Sequence[str]) -> None:
        named = ", ".join(class_paths)
        super().__init__(
            f"{place}: names {named}. A file may name classes of sapiens2_lit, torch and lightning alone: others "
            f"could run any command, so nothing was imported. In Python: trust={list(class_paths)!r}."
        )
        self.class_paths = list(class_paths)


class SettingError(SapiensError):
    """A setting of the command line, a YAML file or a constructor."""


class StorageError(Exception):
    """A server that data are fetched from cannot be reached, or refuses them.

    It is no `ValueError`: no file is at fault, so that nothing may take it for one that is damaged, and leave it out.
    """


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
        """Return the same, whose message ends in how to go on."""
        return Interrupted(self.signal, f"{self}; {advice}")


class TrainingError(SapiensError):
    """Training went wrong because of its input, as with a loss that is not finite."""


class ExportError(SapiensError):
    """An export does not compute what the model does, or a library that it needs is not there."""
