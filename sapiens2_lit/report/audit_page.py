"""Show pictures on both sides of every threshold of a selection, in one HTML file that needs no network."""

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from sapiens2_lit.errors import DataError
from sapiens2_lit.report.page import picture_tag, table
from sapiens2_lit.report.style import STYLE

RGB = npt.NDArray[np.uint8]
SIDE = 150  # pixels of the longer side of a picture
_CLUSTERS = 40  # shown

OWN_STYLE = """
.sheet { display: grid; grid-template-columns: repeat(auto-fill, minmax(104px, 1fr)); gap: .5em; }
.sheet.pairs { grid-template-columns: repeat(auto-fill, minmax(212px, 1fr)); }
.sheet img { height: 130px; object-fit: contain; border-radius: 3px; vertical-align: top; max-width: 49%; }
.sheet:not(.pairs) img { max-width: 100%; } .sheet figcaption { font-size: .7em; line-height: 1.25; }
.kept { border-left: 4px solid #2f9e44; padding-left: .8em; }
.dropped { border-left: 4px solid #d63c3c; padding-left: .8em; }
"""
HOW = """
Each side of a threshold shows the pictures nearest to it, nearest first. If a side shows pictures that belong to the
other one, move the threshold and select again: scores are not computed again.
"""


class Sample(Protocol):
    """A picture, or a pair, with its caption."""

    @property
    def paths(self) -> tuple[str, ...]:
        """One path, or two of a pair."""

    @property
    def caption(self) -> str:
        """Text below the picture."""


class Sheet(Protocol):
    """The pictures next to one threshold."""

    @property
    def title(self) -> str:
        """The threshold."""

    @property
    def kept(self) -> Sequence[Sample]:
        """Samples that pass it, nearest first."""

    @property
    def dropped(self) -> Sequence[Sample]:
        """Samples that do not, nearest first."""


def build_audit_page(found: Mapping[str, Any], sheets: Sequence[Sheet], read: Callable[[str], RGB]) -> str:
    """Return the page as HTML.

    Args:
        found: Content of the JSON file: `selected`, `stages`, `clusters`, `root`.
        sheets: One for each threshold.
        read: Reads the picture of a path; its DataError is shown instead.
    """
    title = f"{found['selected']:,} pictures selected"
    stages = [(one["stage"], f"{one['left']:,}", escape(one["note"])) for one in found["stages"]]
    parts = [f"<h1>{title}</h1>", f"<p>of {escape(found['root'])}</p>"]
    parts += ["<h2>What each stage has left</h2>", table(("stage", "pictures", ""), stages)]
    if found["clusters"]:
        parts += ["<h2>Clusters of the coarsest level</h2>", cluster_table(found["clusters"])]
    if sheets:
        parts.append(f"<p>{HOW.strip()}</p>")
    thumbnails: dict[str, str] = {}
    parts += [sheet_part(sheet, read, thumbnails) for sheet in sheets]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}{OWN_STYLE}</style></head>'
        f"<body>{''.join(parts)}</body></html>"
    )


def cluster_table(clusters: Sequence[Mapping[str, int]]) -> str:
    """Return a table of each cluster's pictures before and after the sample, largest first."""
    rows = [
        (str(place + 1), f"{one['before']:,}", f"{one['after']:,}")
        for place, one in enumerate(clusters[:_CLUSTERS])
    ]
    rest = len(clusters) - _CLUSTERS
    more = f"<p>and {rest:,} smaller ones</p>" if rest > 0 else ""
    return table(("cluster", "before", "in the sample"), rows) + more


def sheet_part(sheet: Sheet, read: Callable[[str], RGB], thumbnails: dict[str, str]) -> str:
    """Return the part on one threshold: first the samples that are just kept, then those just dropped.

    Args:
        sheet: The samples.
        read: Reads the picture of a path.
        thumbnails: Already encoded, by path; extended in place.
    """
    parts = [f"<h2>{escape(sheet.title)}</h2>"]
    for name, samples in (("kept", sheet.kept), ("dropped", sheet.dropped)):
        pairs = " pairs" if samples and len(samples[0].paths) > 1 else ""
        what = f"just {name}: {len(samples)} {'pairs' if pairs else 'pictures'}"
        if pairs:
            what += ", which both stay" if name == "kept" else ", of which the first stays"
        shown = "".join(figure(sample, read, thumbnails) for sample in samples)
        parts.append(f'<div class="{name}"><h3>{what}</h3><div class="sheet{pairs}">{shown}</div></div>')
    return "".join(parts)


def figure(sample: Sample, read: Callable[[str], RGB], thumbnails: dict[str, str]) -> str:
    """Return one sample with its caption.

    Args:
        sample: The picture or pair.
        read: Reads the picture of a path.
        thumbnails: Already encoded, by path; extended in place.
    """
    tags = "".join(thumbnail(path, read, thumbnails) for path in sample.paths)
    names = " · ".join(sample.paths)
    return f"<figure>{tags}<figcaption>{escape(sample.caption)}<br>{escape(names)}</figcaption></figure>"


def thumbnail(path: str, read: Callable[[str], RGB], thumbnails: dict[str, str]) -> str:
    """Return a small picture as an inline image, or the error if it cannot be read.

    Args:
        path: Of the picture.
        read: Reads the picture of a path.
        thumbnails: Already encoded, by path; extended in place.
    """
    if path not in thumbnails:
        try:
            thumbnails[path] = picture_tag(shrunk(read(path)))
        except DataError as error:
            thumbnails[path] = f"<em>{escape(str(error))}</em>"
    return thumbnails[path]


def shrunk(image: RGB) -> RGB:
    """Return the picture (H, W, 3), shrunk to the size of a thumbnail."""
    height, width = image.shape[:2]
    scale = min(1.0, SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
