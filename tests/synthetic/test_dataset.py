"""A dataset on disk: the same however it was made, gone on with after a kill, never a mixture."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sapiens2_lit.errors import SettingError
from sapiens2_lit.synthetic.dataset import dataset
from sapiens2_lit.synthetic.dataset.dataset import make_dataset
from sapiens2_lit.synthetic.dataset.files import sole_writer
from sapiens2_lit.synthetic.dataset.manifest import GENERATOR, Settings
from sapiens2_lit.synthetic.dataset.records import recorded

SETTINGS = Settings(size=(48, 32), seed=3)
NUM = 12


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("synth") / "made"
    assert make_dataset(root, NUM, SETTINGS, workers=1, progress=False) == NUM
    return root


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def make(root: Path, num: int = NUM, settings: Settings = SETTINGS) -> int:
    return make_dataset(root, num, settings, workers=1, progress=False)


def copy(root: Path, target: Path) -> Path:
    for name, data in contents(root).items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes(data)
    return target


def test_every_sample_has_every_file(made: Path) -> None:
    folders = {path.name for path in made.iterdir() if path.is_dir()}
    labels = folders - {"annotations", "splits"}
    assert {"images", "masks", "normals", "depths", "pointmaps", "cameras", "albedos"} < labels
    for folder in labels:
        assert sorted(path.stem for path in (made / folder).iterdir()) == [f"{i:06d}" for i in range(NUM)]
    about = json.loads((made / "dataset.json").read_text())
    assert set(about["folders"]) == folders
    assert (about["num"], about["seed"], about["size"], about["frame"]) == (NUM, 3, [48, 32], "opencv")


def test_annotations_and_splits_agree(made: Path) -> None:
    seen = []
    for split in ("train", "val", "test"):
        stems = (made / "splits" / f"{split}.txt").read_text().split()
        for ending, count in (("", 308), ("_133", 133), ("_17", 17)):
            data = json.loads((made / "annotations" / f"{split}{ending}.json").read_text())
            assert [image["file_name"] for image in data["images"]] == [f"{stem}.jpg" for stem in stems]
            assert len(data["categories"][0]["keypoints"]) == count
            assert len(data["categories"][0]["skeleton"]) > 0
            images = {image["id"] for image in data["images"]}
            for annotation in data["annotations"]:
                assert annotation["image_id"] in images
                assert len(annotation["keypoints"]) == 3 * count
                assert annotation["num_keypoints"] == sum(v > 0 for v in annotation["keypoints"][2::3])
                assert 0 < annotation["area"] <= annotation["bbox"][2] * annotation["bbox"][3]
        seen += stems
    assert sorted(seen) == [f"{i:06d}" for i in range(NUM)]


def test_parts_in_any_order_leave_the_same_bytes(made: Path, tmp_path: Path) -> None:
    for index in (3, 1, 2):
        assert not (tmp_path / "parts" / "splits").exists()
        part = (index, 3)
        assert (
            make_dataset(tmp_path / "parts", NUM, SETTINGS, workers=1, progress=False, part=part) == NUM // 3
        )
    assert contents(tmp_path / "parts") == contents(made)


def test_parts_and_whole_datasets_keep_each_other_out(tmp_path: Path) -> None:
    part = sole_writer(tmp_path, part=True)
    refused = pytest.raises(SettingError, match="another process is generating")
    with part, sole_writer(tmp_path, part=True), refused, sole_writer(tmp_path):
        pass
    with sole_writer(tmp_path), pytest.raises(SettingError, match="another process"):
        make_dataset(tmp_path, 4, SETTINGS, part=(1, 2))


def test_an_interrupted_part_removes_its_own_unfinished_files_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "masks").mkdir()
    own, other = (tmp_path / "masks" / f".00000{index}.png.unfinished" for index in (2, 1))

    def interrupted(root: Path, index: int, settings: Settings) -> None:
        own.touch()
        other.touch()
        raise KeyboardInterrupt

    monkeypatch.setattr(dataset, "make_sample", interrupted)
    monkeypatch.setattr(dataset, "read_manifest", lambda root: None)
    with pytest.raises(KeyboardInterrupt):
        make_dataset(tmp_path, 4, SETTINGS, workers=1, progress=False, part=(1, 2))
    assert other.exists() and not own.exists()


@pytest.mark.slow
def test_processes_do_not_change_a_byte(made: Path, tmp_path: Path) -> None:
    make_dataset(tmp_path / "parallel", NUM, SETTINGS, workers=2, progress=False)
    assert contents(tmp_path / "parallel") == contents(made)
    assert {os.environ.get("OMP_NUM_THREADS"), os.environ.get("MKL_NUM_THREADS")} <= {None, "1"}


def test_only_what_is_missing_is_made(made: Path, tmp_path: Path) -> None:
    root = copy(made, tmp_path)
    assert make(root) == 0
    for index in (2, 9):
        (root / "records" / f"{index:06d}.json").unlink()
        (root / "images" / f"{index:06d}.jpg").write_bytes(b"half")
    before = (root / "images" / "000003.jpg").stat().st_mtime_ns
    assert make(root) == 2
    assert contents(root) == contents(made)
    assert (root / "images" / "000003.jpg").stat().st_mtime_ns == before


def test_what_was_deleted_is_made_again(made: Path, tmp_path: Path) -> None:
    root = copy(made, tmp_path)
    (root / "images" / "000003.jpg").unlink()
    (root / "normals" / "000007.png").unlink()
    assert make(root) == 2
    for name in ("annotations/val_17.json", "splits/train.txt"):
        (root / name).unlink()
    assert make(root) == 0
    assert contents(root) == contents(made)


def test_files_of_other_names_are_left_alone(made: Path, tmp_path: Path) -> None:
    root = copy(made, tmp_path)
    (root / "records" / "000001 copy.json").write_text("mine")
    assert make(root) == 0
    assert (root / "records" / "000001 copy.json").read_text() == "mine"


@pytest.mark.parametrize(
    "text", ["{", "{}", "[]", '{"people": [{"number": 0}]}', '{"people": [{"keypoints": []}]}']
)
def test_a_damaged_record_is_named(made: Path, tmp_path: Path, text: str) -> None:
    root = copy(made, tmp_path)
    record = root / "records" / "000002.json"
    record.write_text(text)
    with pytest.raises(
        SettingError, match=r"000002.json cannot be read .*: delete it and run the command again"
    ):
        make(root, NUM + 1)
    record.unlink()
    assert make(root, NUM + 1) == 1


def test_two_processes_do_not_write_to_one_folder(made: Path, tmp_path: Path) -> None:
    pytest.importorskip("fcntl", reason="no locks on this system")
    root = copy(made, tmp_path)
    expected = "another process is generating people here: wait for it"
    with sole_writer(root), pytest.raises(SettingError, match=expected):
        make(root, NUM + 1)
    assert make(root) == 0


@pytest.mark.slow
def test_a_dataset_that_grows_keeps_its_splits(made: Path, tmp_path: Path) -> None:
    root = copy(made, tmp_path / "grown")
    assert make(root, NUM + 8) == 8
    assert make(tmp_path / "whole", NUM + 8) == NUM + 8
    assert contents(root) == contents(tmp_path / "whole")
    for split in ("train", "val", "test"):
        old, new = ((place / "splits" / f"{split}.txt").read_text() for place in (made, root))
        assert new.startswith(old)


@pytest.mark.parametrize(
    ("num", "changed", "expected"),
    [
        (NUM, {"seed": 4}, "`seed` was --seed 3, now --seed 4 is given: continue with --seed 3"),
        (NUM, {"size": (32, 48)}, "`size` was --size 48 32, now --size 32 48"),
        (NUM, {"people": (1, 2)}, "`people` was --people 1, now --people 1 2"),
        (
            NUM,
            {"field_of_view": (40, 40)},
            "`field_of_view` was --field_of_view 18 75, now --field_of_view 40 is",
        ),
        (NUM, {"tasks": ("pose",)}, "`tasks` was --tasks all, now --tasks pose"),
        (NUM - 1, {}, "there are 12 samples already, --num 11 asks for fewer: give --num 12 or more"),
    ],
)
def test_another_dataset_is_refused_and_nothing_touched(
    made: Path, num: int, changed: dict, expected: str
) -> None:
    before = contents(made)
    settings = {"size": (48, 32), "seed": 3, "people": (1, 1), "tasks": SETTINGS.tasks} | changed
    with pytest.raises(SettingError) as caught:
        make(made, num, Settings(**settings))
    assert str(caught.value).startswith(f"{made / 'dataset.json'}: ")
    assert expected in str(caught.value)
    assert contents(made) == before


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "mine.jpg").write_bytes(b"holiday")
    with pytest.raises(SettingError, match=r"photos is not empty and has no dataset.json"):
        make(photos)
    assert contents(photos) == {"mine.jpg": b"holiday"}
    with pytest.raises(SettingError, match=r"mine.jpg is a file"):
        make(photos / "mine.jpg")
    for text, expected in (
        ("{", "is not one that `sapiens2-lit synth` wrote"),
        ("[]", "is not one that `sapiens2-lit synth` wrote"),
        ("{}", "generator_version"),
        (json.dumps({"generator_version": GENERATOR, "size": [], "people": []}), "is not one that"),
        (json.dumps({"generator_version": GENERATOR + 1}), f"`generator_version` is {GENERATOR + 1}"),
    ):
        (photos / "dataset.json").write_text(text)
        with pytest.raises(SettingError, match=expected):
            make(photos)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"size": (0, 48)}, "--size 0 48: expected height and width of 16 to"),
        ({"size": (64, 100_000)}, "--size 64 100000"),
        ({"people": (0, 1)}, "--people 0 1"),
        ({"people": (3, 2)}, "--people 3 2"),
        ({"people": (1, 999)}, "--people 1 999"),
        (
            {"field_of_view": (50, 40)},
            "--field_of_view 50 40: expected an angle, or the least and the greatest one",
        ),
        ({"field_of_view": (0, 40)}, "from 1 to 150 degrees"),
        ({"seed": -1}, "--seed -1: expected 0 or more"),
        ({"tasks": ("pose", "smell")}, "--tasks smell: expected all, or some of pose, segmentation"),
        ({"tasks": ()}, "--tasks"),
    ],
)
def test_settings_out_of_range_are_named(settings: dict, expected: str) -> None:
    with pytest.raises(SettingError) as caught:
        Settings(**settings)
    assert expected in str(caught.value)


def test_counts_out_of_range_are_named(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="--num 0"):
        make(tmp_path / "a", 0)
    with pytest.raises(SettingError, match="--workers 0"):
        make_dataset(tmp_path / "a", 1, SETTINGS, workers=0)
    assert not (tmp_path / "a").exists()


def test_tasks_have_one_order() -> None:
    assert Settings(tasks=("depth", "pose")) == Settings(tasks=("pose", "depth", "depth"))


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, workers: int) -> None:
    root = tmp_path / "data"
    make_dataset(root, 1, SETTINGS, workers=1, progress=False)
    (root / "images" / "000000.jpg").unlink()
    (root / "images").rmdir()
    (root / "images").write_text("a file where a folder should be")
    with pytest.raises(
        SettingError, match=r"images/00000[0-3].jpg cannot be written: .*the same command continues"
    ):
        make_dataset(root, 4, SETTINGS, workers=workers, progress=False)


def test_a_full_disk_leaves_no_half_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "data"
    make(root, 1)
    whole = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        if "depths" in str(path):
            whole(path, data[:10])
            raise OSError(28, "No space left on device")
        return whole(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(SettingError, match=r"000001\.npz cannot be written: No space left on device"):
            make(root, 2)
    assert [path.name for path in (root / "depths").iterdir()] == ["000000.npz"]
    assert make(root, 2) == 1


@pytest.mark.slow
def test_a_killed_run_leaves_whole_files_and_no_processes(tmp_path: Path) -> None:
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    command = [
        sys.executable,
        "-m",
        "sapiens2_lit",
        "synth",
        str(killed),
        "--num",
        "3000",
        "--size",
        "48",
        "32",
    ]
    process = subprocess.Popen([*command, "--seed", "3", "--workers", "2"], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(recorded(killed, SETTINGS.tasks)) < 5 and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    time.sleep(1.0)  # its workers notice and end
    done = recorded(killed, SETTINGS.tasks)
    assert len(done) >= 5
    time.sleep(0.5)
    assert recorded(killed, SETTINGS.tasks) == done, "workers go on without their parent"
    assert not (killed / "annotations").exists()

    with pytest.raises(SettingError, match="samples already"):
        make(killed, 2)
    num = max(done) + 2
    assert make(killed, num) == num - len(done)
    make(whole, num)
    left = {name for name in contents(killed) if not name.endswith(".unfinished")}
    assert {name: contents(killed)[name] for name in left} == contents(whole)
