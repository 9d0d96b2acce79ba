"""Which teachers a checkpoint's weights learned from: whose license they follow."""

from dataclasses import dataclass
from pathlib import Path

from sapiens2_lit.checkpoints.format import META_FILE, TEACHERS
from sapiens2_lit.checkpoints.reader import PICKLES, read_meta


@dataclass(frozen=True)
class Origin:
    """Where a teacher's weights came from.

    Attributes:
        weights: as the settings of the training named them.
        base: what they were derived from, for people; None where they started from random values.
        hub_id: the same as a repository of the hub, where it is one.
        license: of these weights, as the hub names it; None where it is not known, or they started from random values.
    """

    weights: str
    base: str | None
    hub_id: str | None
    licence: str | None


def read_teachers(checkpoint: str | Path) -> list[Origin]:
    """Return the teachers that a checkpoint of ours says it learned from; none of other files.

    Raises:
        WeightsError: the file cannot be read.
    """
    path = Path(checkpoint).expanduser()
    whole = path.is_file() and path.suffix in (*PICKLES, ".safetensors")
    meta = read_meta(path) if whole or (path / META_FILE).is_file() else {}
    return [Origin(**one) for one in meta.get(TEACHERS) or ()]
