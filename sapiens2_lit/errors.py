"""Errors of users, as exceptions that tell where the error is and how to correct it.

Each message names the file and the field, what was found and what was expected. The command line prints only the
message; in Python they are `ValueError`s.
"""

from collections.abc import Sequence


class SapiensError(ValueError):
    """Base of every error that the user, not the program, can correct."""


class DataError(SapiensError):
    """An error in a dataset: an annotation file, an image, a label."""


class WeightsError(SapiensError):
    """A file of weights is not found, holds no weights, or weights of another model."""


class DamagedError(WeightsError):
    """A file has changed since it was written: its checksum does not match.

    Args:
        place: The file, and the tensor in it.
    """

    def __init__(self, place: str) -> None:
        super().__init__(
            f"{place}: its checksum does not match: the file is damaged: bytes in it have changed. "
            "Use another copy of it; `--verify false` loads it anyway."
        )


class UntrustedError(WeightsError):
    """A file names classes that it may not name, and that the user has not declared trusted.

    Args:
        place: The file, and the place in it.
        class_paths: Names of the classes.
    """

    def __init__(self, place: str, class_paths: Sequence[str]) -> None:
        named = ", ".join(class_paths)
        super().__init__(
            f"{place}: names {named}. A file may only name classes of sapiens2_lit, torch and lightning: others "
            f"could run any command, so nothing was imported. In Python: trust={list(class_paths)!r}."
        )
        self.class_paths = list(class_paths)


class SettingError(SapiensError):
    """An error in a setting of the command line, a YAML file or a constructor."""


class StorageError(Exception):
    """A server with data cannot be reached, or refuses access.

    It is not a `ValueError`: no file is at fault, so code must not take a file for damaged and leave it out.
    """


class Interrupted(Exception):
    """A signal asked the command to end, and it ended in an orderly way.

    Args:
        signal: Number of the signal.
        message: What happened, and how to resume.
    """

    def __init__(self, signal: int, message: str) -> None:
        super().__init__(message)
        self.signal = signal

    def with_advice(self, advice: str) -> "Interrupted":
        """Return the same error with advice on how to resume at the end of its message."""
        return Interrupted(self.signal, f"{self}; {advice}")


class TrainingError(SapiensError):
    """Training failed because of its input, such as with a loss that is not finite."""


class ExportError(SapiensError):
    """An export computes something else than the model, or a library that it needs is missing."""
