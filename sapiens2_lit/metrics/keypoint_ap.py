"""Average precision and recall of poses, as COCO measures them, for any skeleton and its parts.

Legend: P people in the labels, N people found, K keypoints.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from faster_coco_eval import COCO, COCOeval_faster
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from sapiens2_lit.errors import DataError
from sapiens2_lit.metrics.oks import oks_nms, person_score
from sapiens2_lit.parallel.collectives import several_ranks
from sapiens2_lit.vocabularies import Skeleton

_MAX_PEOPLE = 20  # best people of an image; COCO's setting for keypoints
_HANDS = ("left_hand", "right_hand")
# In COCO, a person's outline covers about this share of the box; used if a file has no areas.
_AREA_OF_BOX = 0.53


@dataclass(frozen=True)
class _Truth:
    """Labeled people as arrays: small to keep, quick to restrict to a group of keypoints."""

    images: frozenset[int]
    keypoints: np.ndarray  # (P, K, 3) x, y, v
    boxes: np.ndarray  # (P, 4) x, y, width, height
    areas: np.ndarray  # (P,)
    crowd: np.ndarray  # (P,) bool
    image_id: np.ndarray  # (P,)


class KeypointAP(Metric):
    """OKS average precision and recall in original image pixels, of the skeleton and of each of its groups.

    People are ranked by box score times mean keypoint score; people found twice in an image (OKS above 0.9) are
    dropped. Results in 0..1: AP, AP50, AP75 and AR of all keypoints; AP_body, AR_body, AP_feet and so on for every
    group with a labeled keypoint. Both hands form one group `hands`; the group `other` is left out. For a group, people
    without a labeled keypoint of it are ignored, as COCO ignores people without keypoints. All images of `ground_truth`
    are evaluated: if an evaluation is cut short, people in the remaining images are missed. Without any labeled
    keypoint the results are NaN.

    Args:
        skeleton: Vocabulary of predictions and ground truth, with the OKS sigmas.
        ground_truth: A COCO dictionary in that vocabulary: `images[].id`; `annotations[]` with `keypoints` (K * 3),
            `bbox`, `image_id`, and optionally `area` (0.53 of the box if it is missing or not above 0) and `iscrowd`.

    Raises:
        DataError: An annotation lacks a field, or has another number of keypoints.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    keypoints: list[Tensor]
    image_id: list[Tensor]
    box_score: list[Tensor]
    person: list[Tensor]

    def __init__(self, skeleton: Skeleton, ground_truth: Mapping[str, Any]) -> None:
        super().__init__()
        self.skeleton = skeleton
        self.truth = _read_truth(ground_truth, skeleton)
        for state in ("keypoints", "image_id", "box_score", "person"):
            self.add_state(state, [], dist_reduce_fx="cat")

    def update(self, keypoints: Tensor, image_id: Tensor, box_score: Tensor, person: Tensor) -> None:
        """Add one batch of predictions.

        Args:
            keypoints: (B, K, 3) x, y in original pixels, and score.
            image_id: (B,) whole numbers, ids of the images in `ground_truth`.
            box_score: (B,) scores of the detector, 1 for labeled boxes.
            person: (B,) whole numbers that identify samples: a sample seen twice is evaluated once.
        """
        self.keypoints.append(keypoints.detach().float())
        self.image_id.append(image_id)
        self.box_score.append(box_score.float())
        self.person.append(person)

    def sync(self, *args: Any, **kwargs: Any) -> None:
        """Exchange states between processes; a process without people contributes empty tensors of the right shapes.

        The empty tensors of torchmetrics have another rank and type, with which the exchange fails or gives garbage.
        """
        if several_ranks() and not self.keypoints:
            nothing = torch.zeros(0, device=self.device)
            self.update(
                nothing.new_zeros(0, self.skeleton.num_keypoints, 3), nothing.long(), nothing, nothing.long()
            )
        super().sync(*args, **kwargs)

    def compute(self) -> dict[str, Tensor]:
        found = self.results()
        everyone = tuple(range(self.skeleton.num_keypoints))
        whole = self._evaluate(found, everyone)
        results = {name: whole[name] for name in ("AP", "AP50", "AP75", "AR")}
        for group, members in self._groups().items():
            if not (self.truth.keypoints[:, members, 2] > 0).any():
                continue
            part = whole if members == everyone else self._evaluate(found, members)
            results |= {f"AP_{group}": part["AP"], f"AR_{group}": part["AR"]}
        return {name: torch.tensor(value, device=self.device) for name, value in results.items()}

    def results(self) -> list[dict[str, Any]]:
        """Return the people found, as in a COCO results file: image_id, category_id, keypoints (K * 3), score.

        Raises:
            DataError: The image of a prediction is not in the ground truth.
        """
        if len(self.keypoints) == 0:  # a list of batches, or one tensor after ranks were gathered
            return []
        keypoints, scores, image_id = self._unique_people()
        unknown = set(image_id.tolist()) - self.truth.images
        if unknown:
            raise DataError(f"ground truth: image_id {min(unknown)} of a prediction is not among `images`.")
        results = []
        for image in np.unique(image_id):
            here = np.flatnonzero(image_id == image)
            kept = here[oks_nms(keypoints[here], scores[here], np.array(self.skeleton.sigmas))]
            for index in kept:
                flat = keypoints[index].astype(np.float64).reshape(-1).tolist()
                row = {"image_id": int(image), "category_id": 1, "keypoints": flat}
                results.append({**row, "score": float(scores[index])})
        return results

    def _unique_people(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return keypoints (N, K, 3), scores (N,), image ids (N,), without the padding of distributed samplers."""
        keypoints, image_id = dim_zero_cat(self.keypoints), dim_zero_cat(self.image_id)
        box_score, person = dim_zero_cat(self.box_score), dim_zero_cat(self.person)
        scores = person_score(keypoints, box_score)
        _, first = np.unique(person.cpu().numpy(), return_index=True)
        return keypoints.cpu().numpy()[first], scores.cpu().numpy()[first], image_id.cpu().numpy()[first]

    def _groups(self) -> dict[str, tuple[int, ...]]:
        groups = {
            name: tuple(members)
            for name, members in self.skeleton.groups.items()
            if name not in (*_HANDS, "other")
        }
        hands = tuple(index for hand in _HANDS for index in self.skeleton.groups.get(hand, ()))
        return {**groups, "hands": hands} if hands else groups

    def _evaluate(self, found: Sequence[Mapping[str, Any]], members: tuple[int, ...]) -> dict[str, float]:
        truth = COCO(_truth_dict(self.truth, members), print_function=_quiet)
        if not found:
            missed = any(person["num_keypoints"] and not person["iscrowd"] for person in truth.anns.values())
            return dict.fromkeys(("AP", "AP50", "AP75", "AR"), 0.0 if missed else float("nan"))
        columns = np.array(members)
        rows = [
            {**person, "keypoints": np.reshape(person["keypoints"], (-1, 3))[columns].reshape(-1).tolist()}
            for person in found
        ]
        sigmas = [self.skeleton.sigmas[index] for index in members]
        evaluation = COCOeval_faster(
            truth, truth.loadRes(rows), "keypoints", print_function=_quiet, kpt_oks_sigmas=sigmas
        )
        evaluation.params.maxDets = [_MAX_PEOPLE]
        evaluation.params.areaRng = [[0, 1e10]]
        evaluation.params.areaRngLbl = ["all"]
        evaluation.evaluate()
        evaluation.accumulate()
        # the first axis of both are OKS thresholds 0.5, 0.55, ... 0.95
        precision, recall = evaluation.eval["precision"], evaluation.eval["recall"]
        return {
            "AP": _mean(precision),
            "AP50": _mean(precision[0]),
            "AP75": _mean(precision[5]),
            "AR": _mean(recall),
        }


def _mean(values: np.ndarray) -> float:
    """Return the mean of the measured values; COCO marks the others with -1."""
    known = values[values > -1]
    return float(known.mean()) if known.size else float("nan")


def _read_truth(ground_truth: Mapping[str, Any], skeleton: Skeleton) -> _Truth:
    people = ground_truth["annotations"]
    keypoints = np.zeros((len(people), skeleton.num_keypoints, 3))
    boxes = np.zeros((len(people), 4))
    for row, person in enumerate(people):
        where = f"ground truth: annotation {person.get('id')}"
        for key in ("keypoints", "bbox", "image_id"):
            if key not in person:
                raise DataError(f"{where}: `{key}` is missing.")
        if len(person["keypoints"]) != 3 * skeleton.num_keypoints:
            raise DataError(
                f"{where}: `keypoints` has {len(person['keypoints'])} numbers, expected "
                f"{3 * skeleton.num_keypoints} (x, y, v for each keypoint of '{skeleton.name}')."
            )
        keypoints[row] = np.reshape(person["keypoints"], (-1, 3))
        boxes[row] = person["bbox"]
    areas = _AREA_OF_BOX * boxes[:, 2] * boxes[:, 3]
    return _Truth(
        images=frozenset(image["id"] for image in ground_truth["images"]),
        keypoints=keypoints,
        boxes=boxes,
        areas=np.array([_area(person.get("area"), area) for person, area in zip(people, areas, strict=True)]),
        crowd=np.array([bool(person.get("iscrowd", 0)) for person in people], dtype=bool),
        image_id=np.array([person["image_id"] for person in people], dtype=np.int64),
    )


def _area(given: float | None, otherwise: float) -> float:
    """Return the given area if it is positive, else the other one."""
    return given if given is not None and given > 0 else otherwise


def _truth_dict(truth: _Truth, members: tuple[int, ...]) -> dict[str, Any]:
    """Return the ground truth in COCO's form, with only the keypoints `members`."""
    keypoints = truth.keypoints[:, np.array(members)]
    counts = (keypoints[..., 2] > 0).sum(axis=1)
    annotations = [
        {
            "id": row + 1,  # from 1, because id 0 means "no match" in COCO's matching
            "image_id": int(truth.image_id[row]),
            "category_id": 1,
            "bbox": truth.boxes[row].tolist(),
            "area": float(truth.areas[row]),
            "iscrowd": int(truth.crowd[row]),
            "keypoints": keypoints[row].reshape(-1).tolist(),
            "num_keypoints": int(counts[row]),
        }
        for row in range(len(keypoints))
    ]
    images = [{"id": image} for image in sorted(truth.images)]
    return {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}


def _quiet(*_: object) -> None:
    """Replace the evaluation's printing."""
