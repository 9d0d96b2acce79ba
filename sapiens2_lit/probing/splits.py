"""Make train, validation and test splits from those of a dataset, since probes need all three."""

import logging
from collections.abc import Callable, Iterable, Mapping

from sapiens2_lit.data.held_out import hash_place
from sapiens2_lit.errors import DataError
from sapiens2_lit.probing.settings import SPLITS

_SHARES = {"val": (0.0, 0.15), "test": (0.15, 0.4), "train": (0.4, 1.0)}  # of one split, by hash
_HALVES = {"val": (0.0, 0.5), "test": (0.5, 1.0)}
_log = logging.getLogger(__name__)


def split_sources(given: Iterable[str]) -> dict[str, str]:
    """Return the split that the pictures of each of train, val and test come from; `train` must be given."""
    known = set(given)
    other = next((split for split in ("val", "test") if split in known), "train")
    return {split: split if split in known else other for split in SPLITS}


def complete_splits(
    given: Mapping[str, Iterable[str]], group: Callable[[str], str] | None, where: str
) -> dict[str, list[str]]:
    """Return the stems of train, val and test; missing splits are taken from another one by hash.

    With training pictures alone, 15 % are for validation and 25 % for the test; validation or test pictures alone are
    halved. The pictures of one subject or video stay together.

    Args:
        given: Stems of the existing splits, including train.
        group: The subject or video of a stem; None if every picture stands alone.
        where: The dataset, for messages.

    Raises:
        DataError: There are too few subjects or videos for three splits.
    """
    sources = split_sources(given)
    found = {}
    for split, source in sources.items():
        stems = list(given[source])
        sharing = [one for one, other in sources.items() if other == source]
        if len(sharing) > 1:
            low, high = (_SHARES if len(sharing) == len(SPLITS) else _HALVES)[split]
            chosen = [stem for stem in stems if low <= hash_place((group or str)(stem)) < high]
            _log.info(
                "%s: by hash, %d of the %d images of %s are for %s",
                where,
                len(chosen),
                len(stems),
                source,
                split,
            )
            if not chosen:
                raise DataError(
                    f"{where}: none of the {len(stems)} images of {source} falls to {split} by hash: they are too "
                    "few, or show too few subjects (data.group). Give the split its own file (docs/probe.md)."
                )
            stems = chosen
        found[split] = stems
    return found
