"""Find people by the mask of a segmentation or matting head: its pieces, cut where several people touch."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sapiens2_lit.errors import SettingError
from sapiens2_lit.heads.base import Head
from sapiens2_lit.inference.inputs import RGB
from sapiens2_lit.inference.masking import people_of, tells_people
from sapiens2_lit.inference.people.explain import best_cut
from sapiens2_lit.inference.people.regions import (
    Mask,
    Region,
    cuts_by_heads,
    cuts_by_thickness,
    find_regions,
)
from sapiens2_lit.inference.people.tiles import Tiles, check_tiles, number_of_tiles, tiles_of
from sapiens2_lit.inference.prediction import Prediction, info_of
from sapiens2_lit.inference.runner import Runner
from sapiens2_lit.inference.views import crop_view, whole_view
from sapiens2_lit.vocabularies import Classes

_HEAD_WORDS = {"head", "face", "hair", "hat", "lip", "teeth", "tongue", "eyeglass", "glasses"}
_KNOWN = 0.5  # share of a tile's piece; if more of it lies in pieces of the whole picture, that person is already found

Boxes = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Piece:
    """A piece of a mask, and the ways to see it as people.

    Attributes:
        region: Its pixels.
        cuts: Ways to see it, each a list of people's parts; the first is the piece as one person.
        heads: Number of heads in it; 0 if the mask does not tell.
    """

    region: Region
    cuts: list[list[Region]]
    heads: int

    def shifted(self, x: int, y: int) -> "Piece":
        """Return the piece moved by x and y pixels."""
        cuts = [[part.shifted(x, y) for part in parts] for parts in self.cuts]
        return Piece(self.region.shifted(x, y), cuts, self.heads)


class OwnMask:
    """A detector of people that uses a head that tells people from background.

    Args:
        masks: The model with that head.
        head: Its name.
        poses: The model whose skeletons tell how many people a piece of the mask shows.
        padding: Factor on the sides of boxes for these.
        tiles: Number of tiles along a picture's longer side that are searched besides the whole picture.
    """

    def __init__(self, masks: Runner, head: str, poses: Runner, padding: float, tiles: Tiles = 1) -> None:
        self.masks = masks
        self.head = head
        self.poses = poses
        self.padding = padding
        self.tiles = tiles
        self.pose_head = next((name for name, head in poses.model.named_heads() if head.top_down), None)
        self.info = {head: info_of(dict(masks.model.named_heads())[head])}

    def find(self, images: Sequence[RGB], predictions: Sequence[Prediction] | None = None) -> list[Boxes]:
        """Return boxes of people (N, 5): x, y, width, height in pixels, and a score of 1; the largest people first.

        Args:
            images: RGB uint8 (H, W, 3).
            predictions: Of the images if the head has already seen them, else None.
        """
        if predictions is None:
            predictions = self._look(images)
        found = [
            self._pieces(image, prediction) for image, prediction in zip(images, predictions, strict=True)
        ]
        return self._decide(images, found)

    def _look(self, images: Sequence[RGB]) -> list[Prediction]:
        """Return the head's predictions for whole images."""
        sizes = [(image.shape[0], image.shape[1]) for image in images]
        model = self.masks.model
        views = [
            whole_view(place, size, model.image_size, view=model.view) for place, size in enumerate(sizes)
        ]
        predictions = [Prediction(size, heads=self.info) for size in sizes]
        self.masks.run([self.head], views, images, predictions)
        return predictions

    def _pieces(self, image: RGB, prediction: Prediction) -> list[Piece]:
        """Return the pieces in the whole image, then those that only tiles show."""
        pieces = self._pieces_of(prediction)
        size = prediction.image_size
        tiles = tiles_of(size, number_of_tiles(self.tiles, size, max(self.masks.model.image_size)))
        if not tiles:
            return pieces
        known = np.zeros(size, dtype=np.bool_)
        for piece in pieces:
            known[piece.region.place] |= piece.region.mask
        for start in range(0, len(tiles), self.masks.batch_size):
            some = tiles[start : start + self.masks.batch_size]
            for tile, seen in zip(some, self._look([tile.of(image) for tile in some]), strict=True):
                for piece in (one.shifted(tile.left, tile.top) for one in self._pieces_of(seen)):
                    x, y, width, height = piece.region.box[:4]
                    corners = np.array([[x, y, x + width, y + height]])
                    here = known[piece.region.place]
                    if tile.holds(corners, size)[0] and here[piece.region.mask].mean() <= _KNOWN:
                        here |= piece.region.mask
                        pieces.append(piece)
        return pieces

    def _pieces_of(self, prediction: Prediction) -> list[Piece]:
        heads = heads_of(prediction, self.head)
        pieces = []
        for region in find_regions(people_of(prediction, self.head)):
            by_heads = [] if heads is None else cuts_by_heads(region, heads)
            others = [parts for parts in cuts_by_thickness(region) if len(parts) != len(by_heads)]
            cuts = [[region], *([by_heads] if by_heads else []), *others]
            count = (
                0 if heads is None or not (heads[region.place] & region.mask).any() else len(by_heads) or 1
            )
            pieces.append(Piece(region, cuts, count))
        return pieces

    def _decide(self, images: Sequence[RGB], found: Sequence[Sequence[Piece]]) -> list[Boxes]:
        """Return the people of each image; if a piece may be several people, skeletons in all its parts decide."""
        unsure = [
            (place, piece) for place, pieces in enumerate(found) for piece in pieces if len(piece.cuts) > 1
        ]
        best = dict(zip((id(piece) for _, piece in unsure), self._best(images, unsure), strict=True))
        boxes = []
        for pieces in found:
            people = [part.box for piece in pieces for part in piece.cuts[best.get(id(piece), 0)]]
            boxes.append(np.stack(people) if people else np.zeros((0, 5), dtype=np.float32))
        return boxes

    def _best(self, images: Sequence[RGB], unsure: Sequence[tuple[int, Piece]]) -> list[int]:
        """Return the index of the best cut of each piece."""
        if self.pose_head is None:  # only the visible heads can tell
            return [int(piece.heads > 1) for _, piece in unsure]
        predictions = [Prediction((image.shape[0], image.shape[1])) for image in images]
        parts = [(place, part) for place, piece in unsure for cut in piece.cuts for part in cut]
        views = [
            crop_view(
                place, predictions[place].image_size, self.poses.model.image_size, part.box, self.padding
            )
            for place, part in parts
        ]
        self.poses.run([self.pose_head], views, images, predictions)
        people = [iter(prediction.instances) for prediction in predictions]  # in the order of the views
        best = []
        for place, piece in unsure:
            poses = [[next(people[place]).keypoints for _ in cut] for cut in piece.cuts]
            best.append(best_cut(piece.region, piece.cuts, poses, piece.heads))
        return best


def find_own_mask(
    detector: object, masks: Runner, name: str, poses: Runner, padding: float, tiles: Tiles, *, needed: bool
) -> OwnMask | None:
    """Return the mask that finds people on images without boxes; None if none does.

    Args:
        detector: `auto`, `self`, None, or a function that finds people.
        masks: The model that may tell people from background.
        name: Of its head that does; empty for the first that can.
        poses: As for `OwnMask`.
        padding: As for `OwnMask`.
        tiles: As for `OwnMask`.
        needed: Whether any head sees people one by one.

    Raises:
        SettingError: A mask is asked for, but no head tells people from background.
    """
    if detector not in ("auto", "self"):
        if detector is not None and not callable(detector):
            raise SettingError(f"detector: found {detector!r}, expected auto, self, None, or a function")
        return None
    heads = dict(masks.model.named_heads())
    head = name or choose_mask_head(heads)
    if head is None and detector == "self":
        raise no_mask_head(poses.model.origin, heads)
    if head is None or not needed:
        if tiles != 1:
            raise SettingError(
                f"tiles: found {tiles!r}, but no mask finds people here, so there are no parts to look at"
            )
        return None
    return OwnMask(masks, head, poses, padding, check_tiles(tiles))


def choose_mask_head(heads: Mapping[str, Head]) -> str | None:
    """Return the head whose mask finds people: the first with classes, else the first with mattes, else None."""
    able = [name for name, head in heads.items() if tells_people(head)]
    return next((name for name in able if heads[name].classes is not None), able[0] if able else None)


def heads_of(prediction: Prediction, head: str) -> Mask | None:
    """Return the pixels of people's heads (H, W); None if the predictions do not tell, such as mattes."""
    info = prediction.heads.get(head)
    labels = prediction.maps.get(head, {}).get("segmentation")
    if info is None or info.classes is None or labels is None:
        return None
    shown = head_classes(info.classes)
    return np.asarray(np.isin(labels, shown)) if shown else None


def head_classes(classes: Classes) -> list[int]:
    """Return the classes of a head's parts, by name: `Face_Neck`, `Hair`, `head`."""
    words = [set(re.split(r"[^a-z]+", name.lower())) for name in classes.names]
    return [place for place in classes.foreground if words[place] & _HEAD_WORDS]


def no_mask_head(origin: str, heads: Mapping[str, Head]) -> SettingError:
    """Return the error for a model that cannot find people itself."""
    return SettingError(
        f"detector: self: no head of {origin} ({', '.join(heads)}) tells people from background (classes with a "
        "background, or a matte); name a model that does by mask_with, or a detector"
    )
