"""Find the teachers that a checkpoint's weights learned from, whose license they follow."""

from dataclasses import dataclass
from pathlib import Path

from sapiens2_lit.checkpoints.format import META_FILE, TEACHERS
from sapiens2_lit.checkpoints.reader import PICKLES, read_meta


@dataclass(frozen=True)
class Origin:
    """Where a teacher's weights came from.

    Attributes:
        weights: As the settings of the training named them.
        base: What they were derived from, for people; None if they started from random values.
        hub_id: The same as a repository on the hub, if it is one.
        licence: License of these weights, as the hub names it; None if it is not known, or they started from random
            values.
    """

    weights: str
    base: str | None
    hub_id: str | None
    licence: str | None


def read_teachers(checkpoint: str | Path) -> list[Origin]:
    """Return the teachers that a checkpoint of this package says it learned from; none for other files.

    Raises:
        WeightsError: The file cannot be read.
    """
    path = Path(checkpoint).expanduser()
    whole = path.is_file() and path.suffix in (*PICKLES, ".safetensors")
    meta = read_meta(path) if whole or (path / META_FILE).is_file() else {}
    return [Origin(**one) for one in meta.get(TEACHERS) or ()]
