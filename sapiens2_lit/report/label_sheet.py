"""Draw what a training learns from as one picture: samples with their labels as they are on disk."""

from collections.abc import Iterator
from itertools import islice

import numpy as np

from sapiens2_lit.report.check_samples import CheckedData, Row, image_of, original_rows
from sapiens2_lit.report.check_views import Picture, label_views, shrink_to
from sapiens2_lit.visualization.draw import contact_sheet, side_by_side

HEIGHT, WIDTH = 320, 420  # pixels of a view at most
_LEFT_OUT = ("lit", "green", "beside")  # words in the titles of redundant views
_ACROSS = 1700  # pixels of the sheet at most, unless one sample is wider


def label_sheet(data: CheckedData, count: int) -> np.ndarray | None:
    """Return some training samples with file name and a picture of each kind of label, RGB (H, W, 3).

    None without samples.

    Args:
        data: With a split `train`.
        count: Largest number of samples, evenly spaced.
    """
    rows = [*islice(original_rows(data, "train", count), count)] or [*islice(_made_rows(data, count), count)]
    strips = [_strip(row) for row in rows if row.views]
    if not strips:
        return None
    columns = max(1, min(4, len(strips), _ACROSS // max(strip.shape[1] for strip in strips)))
    return contact_sheet(strips, columns)


def _made_rows(data: CheckedData, count: int) -> Iterator[Row]:
    """Yield samples of data without files."""
    length = len(data.datasets["train"])
    for index in range(0, length, max(1, length // count)):
        sample = data.sample("train", index, 0)
        views = label_views(sample, data.skeleton, data.classes)
        yield Row(str(sample.get("sample", f"sample {index}")), {"picture": image_of(sample), **views})


def _strip(row: Row) -> np.ndarray:
    """Return one sample: the first view below the file's name, the others below their titles."""
    views = {title: view for title, view in row.views.items() if not any(word in title for word in _LEFT_OUT)}
    titles = [row.name.rpartition("/")[2], *(title.partition(",")[0] for title in [*views][1:])]
    return side_by_side([_fit(view) for view in views.values()], titles)


def _fit(view: Picture) -> Picture:
    return shrink_to(view, HEIGHT, WIDTH)
