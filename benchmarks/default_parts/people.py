"""Two kinds of pictures: people as `synth` draws them, and people of another look: other cameras, clothes and light."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest.mock import patch

import numpy as np
from distillation import TEACHER_SIZE, once

from sapiens2_lit.synthetic.body import clothes, people
from sapiens2_lit.synthetic.dataset.dataset import make_dataset
from sapiens2_lit.synthetic.dataset.manifest import Settings
from sapiens2_lit.synthetic.render import scene
from sapiens2_lit.synthetic.render.light import Light

WIDE = (76.0, 100.0)  # degrees; `synth` goes up to 75
FROM_ABOVE = np.radians(25)  # more than `synth` looks down by
DARK, TINT = 0.45, np.array([1.25, 0.95, 0.6])  # of the light: its strength, and a lamp's color
SEED = 7


@contextmanager
def other_look() -> Iterator[None]:
    """While it lasts, cameras look down, clothes are short and vivid, and the light is dim and warm."""
    frame_points, sample_light = scene.frame_points, scene.sample_light
    sample_outfit, sample_color = people.sample_outfit, clothes.sample_color

    def from_above(*args: object, elevation: float, **options: object) -> object:
        return frame_points(*args, elevation=elevation + FROM_ABOVE, **options)  # type: ignore[arg-type]

    def dim(rng: np.random.Generator) -> Light:
        light = sample_light(rng)
        return Light(light.ambient * DARK * TINT, light.directions, light.colors * DARK * TINT)

    def short(rng: np.random.Generator, *args: object, **options: object) -> clothes.Outfit:
        for _ in range(20):  # a body for which none is drawn so soon wears what it has
            outfit = sample_outfit(rng, *args, **options)  # type: ignore[arg-type]
            if outfit.skirt or outfit.leg < 1:
                break
        return outfit

    def vivid(rng: np.random.Generator) -> np.ndarray:
        found = sample_color(rng)
        while np.ptp(found) < 0.3:
            found = sample_color(rng)
        return found

    with ExitStack() as stack:
        for module, name, own in (
            (scene, "frame_points", from_above),
            (scene, "sample_light", dim),
            (people, "sample_outfit", short),
            (clothes, "sample_color", vivid),
            (clothes, "sample_denim", vivid),
        ):
            stack.enter_context(patch.object(module, name, own))
        yield


def make_other(root: Path, num: int, size: tuple[int, int] = TEACHER_SIZE) -> Path:
    """`num` labelled people of the other look, in this process alone, which is what the change of looks reaches."""
    settings = Settings(size, field_of_view=WIDE, seed=SEED, tasks=("pose", "segmentation"))

    def work() -> None:
        with other_look():
            make_dataset(root, num, settings, workers=1, progress=False)

    once(root, work)
    return root


def choose(root: Path, name: str, stems: list[str]) -> None:
    """Make a part of a dataset that trains or is tested on: annotations/NAME.json and splits/NAME.txt."""
    parts = [
        json.loads((root / "annotations" / f"{part}_17.json").read_text())
        for part in ("train", "val", "test")
    ]
    chosen = set(stems)
    images = [one for part in parts for one in part["images"] if Path(one["file_name"]).stem in chosen]
    kept = {one["id"] for one in images}
    people_of = [one for part in parts for one in part["annotations"] if one["image_id"] in kept]
    whole = {"images": images, "annotations": people_of, "categories": parts[0]["categories"]}
    (root / "annotations" / f"{name}.json").write_text(json.dumps(whole))
    (root / "splits" / f"{name}.txt").write_text("\n".join(stems) + "\n")


def part_of(root: Path, count: int, seed: int, pool: int) -> str:
    """The name of `count` of the first `pool` pictures, drawn by seed; fewer of a seed are among its more."""
    name = f"few_{count}_{seed}"
    stems = sorted(path.stem for path in (root / "images").iterdir())[:pool]
    order = np.random.default_rng(seed).permutation(len(stems))[:count]
    choose(root, name, sorted(stems[index] for index in order))
    return name


def held_out(root: Path, pool: int) -> str:
    """The name of all pictures after the first `pool`."""
    choose(root, "held_out", sorted(path.stem for path in (root / "images").iterdir())[pool:])
    return "held_out"
