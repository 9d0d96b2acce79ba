"""How many pixels each class has in the training masks."""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from sapiens2_lit.data.labels.base import LabelSource, MaskFolder
from sapiens2_lit.data.loading import default_workers

MOST = 2000  # masks read: shares of classes hardly change with more

_log = logging.getLogger(__name__)


def count_classes(
    labels: Sequence[tuple[LabelSource, str]], num_classes: int, most: int = MOST
) -> npt.NDArray[np.int64]:
    """Pixels of each class in whole masks, (C,), 255 left out; of `most` masks, evenly spread, where there are more.

    The same masks whatever the process, so that all processes of a run come to the same numbers.

    Args:
        labels: the source and the stem of each training image; what is no mask is left out.
        num_classes: C.
        most: masks to read.

    Raises:
        DataError: a mask cannot be read or has a value that is no class; names it.
    """
    masks = [(source, stem) for source, stem in labels if isinstance(source, MaskFolder)]
    chosen = np.unique(np.linspace(0, len(masks) - 1, min(most, len(masks))).round().astype(int))
    _log.info("counting the classes in %d of %d training masks", len(chosen), len(masks))

    def count(index: int) -> npt.NDArray[np.int64]:
        folder, stem = masks[index]
        return folder.count(stem)

    with ThreadPoolExecutor(default_workers()) as threads:  # decoding releases the interpreter
        return sum(threads.map(count, chosen.tolist()), np.zeros(num_classes, dtype=np.int64))
