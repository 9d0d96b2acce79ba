"""How many people `predict` finds without boxes, on synthetic people.

    python benchmarks/people.py MODEL --out DIR [--num 40] [--perfect]

Pictures of several people, of one tiny person in a large picture, and of nobody. MODEL has a pose head and a
segmentation head. Found: a box with an intersection over union of 0.5 or more with a person's, each once; people of
whom less than a sixth of the picture's tallest is seen count neither as found nor as missed. `--perfect` puts the
generated masks in the place of what the segmentation head says, so that the cutting alone is measured.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

import sapiens2_lit
from sapiens2_lit.data.coco.detections import box_iou
from sapiens2_lit.inference.prediction import Prediction
from sapiens2_lit.inference.predictor import Predictor
from sapiens2_lit.inference.writers.overlay import draw_overlay
from sapiens2_lit.synthetic.dataset.generate import generate

SIZE = (256, 384)
LARGE = (720, 1280)
SEED = 77
SMALL = 1 / 6  # of the largest person's pixels


def crowd(index: int, people: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Picture, classes, boxes (N, 4) of people, and which of them count."""
    frame = generate(SEED, index, SIZE, (people, people), (40, 60))
    boxes = np.array([person.box for person in frame.people], dtype=np.float32).reshape(-1, 4)
    areas = np.array([person.area for person in frame.people])
    return frame.image, frame.segmentation, boxes, areas >= SMALL * areas.max(initial=0)


def tiny(index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """One person, 90 pixels high, on a large wall."""
    image, classes, *_ = nobody(index, LARGE)
    frame = generate(SEED, index, (96, 72), (1, 1))
    rng = np.random.default_rng(index)
    x, y = int(rng.integers(0, LARGE[1] - 72)), int(rng.integers(0, LARGE[0] - 96))
    place = slice(y, y + 96), slice(x, x + 72)
    alpha = frame.alpha[..., None]
    image[place] = np.rint(frame.foreground * 255 + (1 - alpha) * image[place])
    classes[place] = frame.segmentation
    box = np.array([frame.people[0].box], dtype=np.float32) + [x, y, 0, 0]
    return image, classes, box.astype(np.float32), np.array([True])


def nobody(index: int, size: tuple[int, int] = SIZE) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A wall: smooth colors, a little noise."""
    rng = np.random.default_rng(index)
    few = rng.uniform(60, 200, (2, 3, 3)).astype(np.float32)
    wall = cv2.resize(few, size[::-1], interpolation=cv2.INTER_LINEAR) + rng.normal(0, 4, (*size, 3))
    image = np.clip(wall, 0, 255).astype(np.uint8)
    return image, np.zeros(size, dtype=np.uint8), np.zeros((0, 4), dtype=np.float32), np.zeros(0, dtype=bool)


CASES = {
    "one person": lambda index: crowd(index, 1),
    "two people": lambda index: crowd(index, 2),
    "three people": lambda index: crowd(index, 3),
    "four people": lambda index: crowd(index, 4),
    "a tiny person": tiny,
    "nobody": nobody,
}


def counts(found: np.ndarray, boxes: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Found, missed, false."""
    if not len(found) or not len(boxes):
        return np.array([0, count.sum(), len(found)])
    overlap = box_iou(found, boxes)
    matched = 0
    wrong = len(found)
    while overlap.max() >= 0.5:
        one, other = np.unravel_index(overlap.argmax(), overlap.shape)
        overlap[one] = overlap[:, other] = -1
        matched += bool(count[other])
        wrong -= 1
    return np.array([matched, count.sum() - matched, wrong])


def measure(predictor: Predictor, case: str, num: int, out: Path | None, perfect: bool) -> np.ndarray:
    total = np.zeros(3, dtype=int)
    heads = dict(predictor.model.named_heads())
    pose = predictor.top_down[0]
    for index in range(num):
        image, classes, boxes, count = CASES[case](index)
        if perfect and predictor.own_mask is not None:
            name = predictor.own_mask.head
            labels = heads[name].classes.lookup()[classes].astype(np.uint8)
            seen = Prediction(image.shape[:2], maps={name: {"segmentation": labels}}, heads=predictor.infos)
            people = predictor.own_mask.find([image], [seen])[0]
            prediction = predictor.predict(image, people)
        else:
            prediction = predictor.predict(image)
        sure = [person for person in prediction.instances if person.doubt is None]
        found = np.array([person.box for person in sure], dtype=np.float32).reshape(-1, 4)
        total += counts(found, boxes, count)
        if out is not None and index < 6:
            drawn = draw_overlay(heads[pose], pose, prediction, image)
            for x, y, width, height in found.tolist():
                cv2.rectangle(
                    drawn, (round(x), round(y)), (round(x + width), round(y + height)), (255, 255, 0), 1
                )
            out.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(out / f"{case.replace(' ', '_')}_{index}.png"), drawn[..., ::-1])
    return total


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--num", type=int, default=40)
    parser.add_argument("--tiles", default=1)
    parser.add_argument("--perfect", action="store_true")
    parser.add_argument(
        "--before", action="store_true", help="nobody finds people: as without a head that tells them"
    )
    options = parser.parse_args()
    detector = None if options.before else "self"
    predictor = sapiens2_lit.load(options.model, device="cpu", detector=detector, tiles=options.tiles)
    print(f"| {options.num} pictures of | found | missed | false |\n|---|---|---|---|")
    for case in CASES:
        found, missed, wrong = measure(predictor, case, options.num, options.out, options.perfect)
        print(f"| {case} | {found} | {missed} | {wrong} |", flush=True)


if __name__ == "__main__":
    main()
