"""Select pictures by cuts, duplicates, near-duplicates and a balanced sample, with a count after every stage."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sapiens2_lit.curation.audit import SHOWN, Sheet, cut_sheet, pair_sheet
from sapiens2_lit.curation.cuts import check_columns, missing, passes, span
from sapiens2_lit.curation.duplicates import exact_duplicates, hash_duplicates
from sapiens2_lit.curation.hashes import BITS, LONG_BITS, to_bytes
from sapiens2_lit.curation.kmeans import hierarchy
from sapiens2_lit.curation.near_duplicates import near_duplicates
from sapiens2_lit.curation.sampling import balanced_sample
from sapiens2_lit.curation.scores import Scores
from sapiens2_lit.curation.settings import SelectSettings
from sapiens2_lit.errors import DataError, SettingError

BITS_BEYOND = 24  # of 256, and
COSINE_BEYOND = 0.03  # distance beyond the thresholds up to which pairs are shown


@dataclass(frozen=True)
class Stage:
    """The result of one stage.

    Attributes:
        name: Of the stage.
        left: Number of pictures left.
        note: More for the reader; may be empty.
    """

    name: str
    left: int
    note: str = ""


@dataclass
class Selection:
    """The result of a selection.

    Attributes:
        scores: Of the pictures that are left, sorted by path.
        stages: In order.
        sheets: The pictures next to each threshold.
        clusters: Pictures of each cluster of the coarsest level, before and after.
    """

    scores: Scores
    stages: list[Stage] = field(default_factory=list)
    sheets: list[Sheet] = field(default_factory=list)
    clusters: list[tuple[int, int]] = field(default_factory=list)

    @property
    def paths(self) -> list[str]:
        """Paths of the pictures that are left."""
        return self.scores.paths

    @property
    def root(self) -> Path:
        """Folder of the pictures."""
        return self.scores.root

    def as_dict(self) -> dict[str, Any]:
        """Return the content of the JSON file."""
        stages = [{"stage": one.name, "left": one.left, "note": one.note} for one in self.stages]
        clusters = [{"before": before, "after": after} for before, after in self.clusters]
        return {"root": str(self.root), "selected": len(self.scores), "stages": stages, "clusters": clusters}

    def keep(self, rows: npt.NDArray[Any], name: str, note: str = "", why: str = "") -> None:
        """Keep only some rows.

        Args:
            rows: (M,) indices, or (N,) bool.
            name: Of the stage.
            note: For the count.
            why: For the message if nothing is left.

        Raises:
            DataError: Nothing is left.
        """
        before, self.scores = len(self.scores), self.scores.take(rows)
        self.stages.append(Stage(name, len(self.scores), note))
        if not len(self.scores):
            raise DataError(
                f"nothing is left after `{name}`, of {before} pictures before it{why and ': ' + why}"
            )


def select(
    scores: Scores, settings: SelectSettings, said: Callable[[str], object] = lambda stage: None
) -> Selection:
    """Select pictures; the result depends only on scores and settings, not on the order of the scores' files.

    Args:
        scores: Of all pictures.
        settings: Of the selection.
        said: Called with the name of each stage before it begins.

    Raises:
        SettingError: A column that a stage needs is missing.
        DataError: Nothing is left.
    """
    check_columns(settings.cuts, scores)
    if settings.needs_embedding and "embedding" not in scores.columns:
        key = "near_duplicates" if settings.near_duplicates is not None else "clusters"
        raise SettingError(f"{key}: the scores have no embedding: run `curate score` with --backbone SOURCE")
    found = Selection(scores, [Stage("scored", len(scores))])
    damage = np.array([text is not None for text in scores.texts("damage")], bool)
    found.keep(~damage, "readable", why="such as " + next(filter(None, scores.texts("damage")), ""))
    for cut in settings.cuts:
        said(str(cut))
        found.sheets.append(cut_sheet(cut, found.scores, settings.seed))
        without = missing(cut, found.scores)
        note = f"{without} without a value" if without else ""
        found.keep(passes(cut, found.scores), str(cut), note, why=span(cut, found.scores))
    said("duplicates")
    digests = np.array(found.scores.texts("sha256"))
    found.keep(exact_duplicates(digests, ranking(found.scores)), "equal files")
    if settings.duplicates is not None:
        drop_duplicates(found, settings.duplicates)
    if settings.near_duplicates is not None:
        said("near-duplicates")
        drop_near_duplicates(found, settings.near_duplicates, settings.seed)
    if settings.sample is not None:
        said("sample")
        sample(found, settings)
    return found


def ranking(scores: Scores) -> npt.NDArray[np.int64]:
    """Return the rank of each picture, (N,), 0 for the best: most pixels, then most bytes, then first by path."""
    pixels = scores.numbers("width") * scores.numbers("height")
    order = np.lexsort((np.arange(len(scores)), -scores.numbers("bytes"), -pixels))
    rank = np.empty(len(scores), dtype=np.int64)
    rank[order] = np.arange(len(scores))
    return rank


def drop_duplicates(found: Selection, most: int) -> None:
    """Keep the best of pictures with similar perceptual hashes."""
    short = to_bytes(found.scores.texts("phash"), BITS)
    long = to_bytes(found.scores.texts("phash256"), LONG_BITS)
    stays, matches = hash_duplicates(short, long, ranking(found.scores), most, BITS_BEYOND)
    title = f"duplicates: at most {most} of {LONG_BITS} bits differ"
    found.sheets.append(pair_sheet(title, found.scores, matches, most, closer_is_less=True))
    found.keep(stays, f"duplicates within {most} bits")


def drop_near_duplicates(found: Selection, cosine: float, seed: int) -> None:
    """Keep the best of pictures with similar embeddings.

    Args:
        found: The selection; changed in place.
        cosine: Pictures with this cosine or more are near-duplicates.
        seed: Of the clusters.
    """
    points, rank = found.scores.embeddings(), ranking(found.scores)
    stays, matches = near_duplicates(points, rank, cosine, COSINE_BEYOND, SHOWN, seed)
    title = f"near-duplicates: a cosine of {cosine:g} or more"
    found.sheets.append(pair_sheet(title, found.scores, matches, cosine, closer_is_less=False))
    found.keep(stays, f"near-duplicates from cosine {cosine:g}")


def sample(found: Selection, settings: SelectSettings) -> None:
    """Keep a sample in which clusters have equal weight."""
    assert settings.sample is not None
    levels = (
        hierarchy(found.scores.embeddings(), settings.clusters, settings.seed) if settings.clusters else []
    )
    before = len(found.scores)
    rows = balanced_sample(levels, before, settings.sample, settings.seed)
    if levels:
        coarse = levels[-1]
        counts = np.bincount(coarse), np.bincount(coarse[rows], minlength=int(coarse.max()) + 1)
        found.clusters = sorted(zip(*(count.tolist() for count in counts), strict=True), reverse=True)
    note = f"{settings.sample} were wanted, {before} were left" if before < settings.sample else ""
    found.keep(rows, f"sample of {settings.sample}", note)
