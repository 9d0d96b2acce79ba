"""Count the pixels of each class in the training masks."""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from sapiens2_lit.data.labels.base import LabelSource, MaskFolder
from sapiens2_lit.data.loading import default_workers

MOST = 2000  # masks to read: shares of classes hardly change with more

_log = logging.getLogger(__name__)


def count_classes(
    labels: Sequence[tuple[LabelSource, str]], num_classes: int, most: int = MOST
) -> npt.NDArray[np.int64]:
    """Count the pixels of each class (C,) in whole masks, without 255; at most `most` evenly spread masks are read.

    All processes read the same masks, so that they get the same numbers.

    Args:
        labels: the source and the stem of each training image; sources that are no masks are skipped.
        num_classes: C.
        most: masks to read.

    Raises:
        DataError: a mask cannot be read or has a value that is no class; it names the mask.
    """
    masks = [(source, stem) for source, stem in labels if isinstance(source, MaskFolder)]
    chosen = np.unique(np.linspace(0, len(masks) - 1, min(most, len(masks))).round().astype(int))
    _log.info("counting the classes in %d of %d training masks", len(chosen), len(masks))

    def count(index: int) -> npt.NDArray[np.int64]:
        folder, stem = masks[index]
        return folder.count(stem)

    with ThreadPoolExecutor(default_workers()) as threads:  # decoding releases the interpreter lock
        return sum(threads.map(count, chosen.tolist()), np.zeros(num_classes, dtype=np.int64))
