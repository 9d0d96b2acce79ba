"""Facts about normals, and checks of them: axes that differ from the camera's, flat backgrounds."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sapiens2_lit.data.checks.check import Check, Sampling
from sapiens2_lit.data.checks.finding import Finding
from sapiens2_lit.data.checks.label_files import LabelFiles, Looked
from sapiens2_lit.data.checks.outlines import (
    Agreement,
    Axes,
    Outline,
    add_agreements,
    add_outlines,
    advise_on_axes,
    best_axes,
    describe_axes,
    fit_of,
    measure_outline,
)

Floats = npt.NDArray[np.floating]

# For 180 pictures of people at three sizes the right axes fit with at least 0.65, all others with at most 0.35.
_FITS = 0.45  # least fit of the right axes
_BETTER = 0.25  # other axes must fit better by this much
_AWAY = 0.3  # z of a normal that faces away, even at the border of a wide view
_MOST_AWAY = 0.05  # largest share of normals that may face away
_MOST_TILTED = 0.35  # mean of x and y of all normals, and lean of z at outlines: within 0.03 of 0 for people
_TILTED_FROM = 5  # pictures from which on people and cameras average out
_MOST_FLAT = 0.98  # above, there is nothing else that it could be the background of
_LEAST_FLAT = 0.15  # least share of a picture's normals that equal one normal, for a background
_AROUND = 0.5  # least share of the picture's border that it covers
_SAME = 0.02  # largest difference between equal normals: 8 bits


@dataclass(frozen=True)
class NormalFacts:
    """Facts about one file of normals.

    Attributes:
        outline: which way the normals lean at the border of the labeled region.
        away: share that faces away from the camera.
        flat: the normal (3,) that surrounds the picture, or None.
        flat_share: share of the normals that equal it.
        agreement: with the normals of the depth beside them, or None.
    """

    outline: Outline
    away: float
    flat: Floats | None
    flat_share: float
    agreement: Agreement | None = None


@dataclass
class NormalLabels(LabelFiles[NormalFacts]):
    """The normals of one split.

    Attributes:
        frame: `data.frame`, for messages.
    """

    frame: str = "opencv"


def measure_normals(
    normals: Floats,
    valid: npt.NDArray[np.bool_],
    agreement: Agreement | None = None,
    people: npt.NDArray[np.bool_] | None = None,
) -> NormalFacts:
    """Measure the facts of one picture.

    Args:
        normals: 3-D (h, w, 3), unit vectors in the camera's frame.
        valid: 2-D (h, w) bool.
        agreement: with other normals of the same picture.
        people: 2-D (h, w) bool, where people are, if known: then the outline is theirs, not the valid region's.
    """
    away = float(np.mean(normals[..., 2][valid] > _AWAY)) if valid.any() else 0.0
    flat, share = find_flat(normals, valid)
    region = valid if people is None else valid & people
    return NormalFacts(measure_outline(normals, region), away, flat, share, agreement)


class NormalAxes(Check[NormalLabels]):
    """Normals in another frame, with exchanged channels or negated axes, found by the outline of people."""

    name = "normal_axes"
    looks_at = NormalLabels
    severity = "error"

    def look(self, subject: NormalLabels, sampling: Sampling) -> Iterator[Finding]:
        looked = subject.looked(sampling)
        outline = add_outlines(one.facts.outline for one in looked)
        if not outline.enough:
            return
        best, own = best_axes(outline), fit_of(outline, Axes())
        if best.proper or fit_of(outline, best) < max(_FITS, own + _BETTER):
            return
        wrong = [one for one in looked if fit_of(one.facts.outline, best) > fit_of(one.facts.outline, Axes())]
        across, down, facing = outline.lean[0, 0], outline.lean[1, 1], -outline.mean[2]
        yield self.finding(
            subject,
            f"the axes are not the camera's: at the outline of people normals lean outward by {across:+.2f} in x and "
            f"{down:+.2f} in y, and face the camera by {facing:+.2f}, expected about +0.8 each",
            advise_on_axes(outline, subject.frame),
            count=len(wrong),
            total=len(looked),
            examples=(one.example(f"fits {fit_of(one.facts.outline, Axes()):+.2f}") for one in wrong),
        )


class WorldNormals(Check[NormalLabels]):
    """Normals that face away from the camera, or all to one side: in world space, or in an object's frame."""

    name = "world_normals"
    looks_at = NormalLabels
    severity = "error"

    def look(self, subject: NormalLabels, sampling: Sampling) -> Iterator[Finding]:
        looked = subject.looked(sampling)
        outline = add_outlines(one.facts.outline for one in looked)
        best = best_axes(outline)
        if not outline.enough or (fit_of(outline, best) >= _FITS and not best.proper):
            return  # nothing is known, or other axes fit, which another check reports
        away = [one for one in looked if one.facts.away > _MOST_AWAY]
        tilt = max(np.abs(outline.mean[:2]).max(), np.abs(outline.lean[:, 2]).max())
        tilted = tilt > _MOST_TILTED and len(looked) >= _TILTED_FROM
        if 2 * len(away) <= len(looked) and not tilted:
            return
        x, y, z = outline.mean
        share = np.median([one.facts.away for one in looked])
        yield self.finding(
            subject,
            f"{share:.0%} of the normals of a picture face away from the camera, where no surface is visible, and the "
            f"mean normal is ({x:.2f}, {y:.2f}, {z:.2f}), expected about (0, 0, -0.7): they seem to be in world space",
            "turn them into the camera's frame by the rotation of each camera, n = n @ R.T with R from world to camera",
            count=len(away) or len(looked),
            total=len(looked),
            examples=(one.example(f"{one.facts.away:.0%} face away") for one in away or looked),
        )


class FlatNormals(Check[NormalLabels]):
    """One and the same normal around the picture: a background that was filled, and is learned."""

    name = "flat_normals"
    looks_at = NormalLabels
    severity = "error"

    def look(self, subject: NormalLabels, sampling: Sampling) -> Iterator[Finding]:
        looked = subject.looked(sampling)
        flat = [one for one in looked if _LEAST_FLAT <= one.facts.flat_share <= _MOST_FLAT]
        if not flat or 2 * len(flat) < len(looked):
            return
        values = np.stack([one.facts.flat for one in flat if one.facts.flat is not None])
        usual = np.median(values, axis=0)
        same = np.abs(values - usual).max(axis=1) <= _SAME
        toward_camera = np.abs(usual - (0, 0, -1)).max() <= _SAME
        if same.mean() < 0.8 or not (toward_camera or len(flat) >= 3):
            return  # each picture has another wall
        shares = [one.facts.flat_share for one in flat]
        yield self.finding(
            subject,
            f"{np.median(shares):.0%} of the normals of a picture are ({_say(usual)}) around people: a background that "
            "was filled with a color is used as a surface",
            "write 0 (black in png) where there is no normal, or give data.valids",
            count=len(flat),
            total=len(looked),
            examples=(one.example(f"{one.facts.flat_share:.0%}") for one in flat),
        )


class NormalsAgainstDepth(Check[NormalLabels]):
    """Normals that contradict the depth beside them."""

    name = "normals_against_depth"
    looks_at = NormalLabels
    severity = "warning"

    def look(self, subject: NormalLabels, sampling: Sampling) -> Iterator[Finding]:
        looked = [one for one in subject.looked(sampling) if one.facts.agreement is not None]
        total = add_agreements(one.facts.agreement for one in looked if one.facts.agreement is not None)
        if not total.enough:
            return
        best, own = total.best(), total.fit(Axes())
        if best.proper or total.fit(best) < max(_FITS, own + _BETTER):
            return
        wrong = [one for one in looked if _contradicts(one, best)]
        yield self.finding(
            subject,
            f"the normals contradict the depth in the folder beside them: they agree by {own:+.2f} as they are, "
            f"and by {total.fit(best):+.2f} after {describe_axes(best.after_frame(subject.frame))} (1: the same)",
            "look at data.frame and the order of the channels; or does the depth belong to other pictures?",
            count=len(wrong),
            total=len(looked),
            examples=(one.example("contradicts its depth") for one in wrong),
        )


def _contradicts(one: Looked[NormalFacts], best: Axes) -> bool:
    agreement = one.facts.agreement
    return agreement is not None and agreement.fit(best) > agreement.fit(Axes())


def find_flat(normals: Floats, valid: npt.NDArray[np.bool_]) -> tuple[Floats | None, float]:
    """Return the one vector that surrounds a picture, and the share of its vectors that equal it.

    Args:
        normals: 3-D (h, w, 3).
        valid: 2-D (h, w) bool.

    Returns:
        The vector (3,) or None, and its share in 0..1.
    """
    flat = _surrounding(normals, valid)
    if flat is None:
        return None, 0.0
    return flat, float((np.abs(normals[valid] - flat).max(axis=1) <= _SAME / 2).mean())


def say_flat(normals: Floats, valid: npt.NDArray[np.bool_]) -> str:
    """Return a sentence about a background that is filled with one vector, for messages; empty if there is none.

    Args:
        normals: 3-D (h, w, 3).
        valid: 2-D (h, w) bool.
    """
    flat, share = find_flat(normals, valid)
    if flat is None or not _LEAST_FLAT <= share <= _MOST_FLAT:
        return ""
    return (
        f"{share:.0%} of them are ({_say(flat)}), all around: if this is a background that was filled with a color, "
        "write 0 (black in png) there, or give data.valids."
    )


def say_away(normals: Floats, valid: npt.NDArray[np.bool_], frame: str) -> str:
    """Return why most normals of a picture face away from the camera, and what to do, for messages.

    Args:
        normals: 3-D (h, w, 3), read in `frame`.
        valid: 2-D (h, w) bool.
        frame: `data.frame`.
    """
    filled, flat = say_flat(normals, valid), find_flat(normals, valid)[0]
    if not filled or flat is None:
        return advise_on_axes(measure_outline(normals, valid), frame)
    rest = valid & (np.abs(normals - flat).max(axis=-1) > _SAME)
    outline = measure_outline(normals, rest)
    if outline.enough and best_axes(outline).proper:
        return filled
    return f"{advise_on_axes(outline, frame)} {filled}"


def _surrounding(normals: Floats, valid: npt.NDArray[np.bool_]) -> Floats | None:
    """Return the one normal of most of the picture's border, or None."""
    values = np.concatenate([normals[0], normals[-1], normals[1:-1, 0], normals[1:-1, -1]])
    counts = np.concatenate([valid[0], valid[-1], valid[1:-1, 0], valid[1:-1, -1]])
    if not counts.any():
        return None
    steps = np.round(values[counts] / _SAME).astype(np.int64)
    _, places, sizes = np.unique(steps, axis=0, return_inverse=True, return_counts=True)
    most = int(sizes.argmax())
    if sizes[most] < _AROUND * len(counts):
        return None
    found: Floats = np.median(values[counts][places.ravel() == most], axis=0)
    return found


def _say(vector: Floats) -> str:
    return ", ".join(f"{value + 0.0:.2f}" for value in vector)
