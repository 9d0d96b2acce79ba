"""`dataset.json`: the settings of a generated folder. A folder holds one dataset, never a mixture."""

import json
import shlex
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from sapiens2_lit.errors import DataError, SettingError
from sapiens2_lit.synthetic.dataset.files import write_same
from sapiens2_lit.synthetic.dataset.frame import ANGLES, FIELDS_OF_VIEW, MOST_PEOPLE, Frame
from sapiens2_lit.synthetic.dataset.generate import generate
from sapiens2_lit.synthetic.dataset.layout import TASKS, meanings

GENERATOR = 1  # increased whenever a seed gives other pictures
NAME = "dataset.json"
COMMAND = "sapiens2-lit synth"
LARGEST_SIDE = 8192
MOST_IMAGES = 1_000_000  # stems have six digits


@dataclass(frozen=True)
class Settings:
    """The settings that determine every picture and label of a dataset, without their number.

    Attributes:
        size: (height, width) in pixels.
        people: least and greatest number of people in a picture.
        field_of_view: least and greatest vertical field of view of the cameras, in degrees.
        seed: 0 or more.
        tasks: tasks whose labels are written, in the order of `TASKS`.

    Raises:
        SettingError: an option is wrong; the message names it, what was found and what was expected.
    """

    size: tuple[int, int] = (512, 384)
    people: tuple[int, int] = (1, 1)
    field_of_view: tuple[float, float] = FIELDS_OF_VIEW
    seed: int = 0
    tasks: tuple[str, ...] = TASKS

    def __post_init__(self) -> None:
        if not all(16 <= side <= LARGEST_SIDE for side in self.size):
            found = " ".join(map(str, self.size))
            raise SettingError(f"--size {found}: expected height and width of 16 to {LARGEST_SIDE} pixels")
        if not 1 <= self.people[0] <= self.people[1] <= MOST_PEOPLE:
            raise SettingError(
                f"--people {_one_or_both(self.people)}: expected a number, or the least and the greatest one, from 1 "
                f"to {MOST_PEOPLE}"
            )
        if not ANGLES[0] <= self.field_of_view[0] <= self.field_of_view[1] <= ANGLES[1]:
            raise SettingError(
                f"--field_of_view {_one_or_both(self.field_of_view)}: expected an angle, or the least and the "
                f"greatest one, from {ANGLES[0]} to {ANGLES[1]} degrees"
            )
        if self.seed < 0:
            raise SettingError(f"--seed {self.seed}: expected 0 or more")
        unknown = [task for task in self.tasks if task not in TASKS]
        if unknown or not self.tasks:
            found = " ".join(unknown) or "(nothing)"
            raise SettingError(f"--tasks {found}: expected all, or some of {', '.join(TASKS)}")
        object.__setattr__(self, "tasks", tuple(task for task in TASKS if task in self.tasks))

    def frame(self, index: int) -> Frame:
        """Return the image at an index with all its labels."""
        return generate(self.seed, index, self.size, self.people, self.field_of_view)

    def options(self) -> dict[str, str]:
        """Return the settings as options of the command."""
        return {
            "size": f"--size {self.size[0]} {self.size[1]}",
            "people": f"--people {_one_or_both(self.people)}",
            "field_of_view": f"--field_of_view {_one_or_both(self.field_of_view)}",
            "seed": f"--seed {self.seed}",
            "tasks": f"--tasks {'all' if self.tasks == TASKS else ' '.join(self.tasks)}",
        }


def _one_or_both(bounds: tuple[float, float]) -> str:
    """Return the numbers of a range as they are typed: one number if they are the same."""
    return " ".join(f"{bound:g}" for bound in dict.fromkeys(bounds))


def write_manifest(root: Path, settings: Settings, num: int) -> None:
    """Write `dataset.json`.

    Args:
        root: folder of the dataset.
        settings: of the dataset.
        num: number of samples in annotations and splits.
    """
    content = {
        "generator": COMMAND,
        "generator_version": GENERATOR,
        "sapiens2_lit": version("sapiens2-lit"),
        "num": num,
        **asdict(settings),
        "frame": "opencv",
        "frame_meaning": "camera frame of normals and points: x right, y down, z forward",
        "folders": meanings(settings.tasks),
    }
    write_same(root, NAME, json.dumps(content, indent=2).encode())


def read_manifest(root: Path) -> tuple[Settings, int] | None:
    """Return settings and number of samples of the dataset in `root`; None if `root` is missing or empty.

    Raises:
        SettingError: `root` holds something else, or a dataset of another generator.
    """
    path = root / NAME
    elsewhere = "choose a new or an empty folder"
    if root.exists() and not root.is_dir():
        raise SettingError(f"{root} is a file: {elsewhere}")
    if not path.is_file():
        if root.is_dir() and any(not entry.name.startswith(".") for entry in root.iterdir()):
            raise SettingError(f"{root} is not empty and has no {NAME} of this command: {elsewhere}")
        return None
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        made_by = data["generator_version"]
        if made_by != GENERATOR:
            raise SettingError(
                f"{path}: `generator_version` is {made_by}, but this version has {GENERATOR} and draws other people: "
                f"{elsewhere}"
            )
        settings = Settings(
            tuple(data["size"]),
            tuple(data["people"]),
            tuple(data.get("field_of_view", FIELDS_OF_VIEW)),  # older datasets had no choice
            data["seed"],
            tuple(data["tasks"]),
        )
        return settings, int(data["num"])
    except SettingError:
        raise
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise SettingError(
            f"{path} is not one that `sapiens2-lit synth` wrote ({type(error).__name__}: {error}): {elsewhere}"
        ) from error


def check_finished(root: Path) -> None:
    """Check that a generated dataset is finished, with splits and annotations; other folders are accepted.

    Otherwise training would use only the images written so far.

    Raises:
        DataError: it is not finished.
    """
    path = root / NAME
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    if not isinstance(data, dict) or data.get("generator") != COMMAND or data.get("num") != 0:
        return
    found = read_manifest(root)
    assert found is not None
    options = " ".join(found[0].options().values())
    raise DataError(
        f"{root}: `{COMMAND}` was stopped, or is still running, and has written no splits. To continue "
        f"where it stopped: {COMMAND} {shlex.quote(str(root))} --num NUMBER {options}"
    )


def check_same(root: Path, found: Settings, asked: Settings, existing: int, num: int) -> None:
    """Check that the settings are those of existing samples, and that their number does not decrease.

    Args:
        root: folder of the dataset.
        found: settings of the existing samples.
        asked: settings that the user asks for.
        existing: number of existing samples.
        num: number that the user asks for.

    Raises:
        SettingError: they differ; it names `dataset.json`, the field, what was found, what was asked for, and what to
            do.
    """
    path = root / NAME
    for field, option in found.options().items():
        if getattr(found, field) != getattr(asked, field):
            raise SettingError(
                f"{path}: `{field}` was {option}, now {asked.options()[field]} is given: continue with {option}, "
                "or choose another folder"
            )
    if num < existing:
        raise SettingError(
            f"{path}: there are {existing} samples already, --num {num} asks for fewer: give --num {existing} or "
            "more, or choose another folder"
        )
