"""Packing: whole shards or none, whatever ends it; what webdataset reads; what is refused."""

import hashlib
import io
import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest

from sapiens2_lit.cli.main import main
from sapiens2_lit.data.shards.encode import deflated, unfiltered
from sapiens2_lit.data.shards.pack import pack
from sapiens2_lit.data.shards.roots import open_root
from sapiens2_lit.data.shards.settings import parse_bytes
from sapiens2_lit.errors import DataError, SettingError
from sapiens2_lit.synthetic.dataset.layout import npz

SHARD = 60_000


def run(source: Path, out: Path, size: int = SHARD, progress=lambda _: None):
    return pack(source, out, size, "fast", 2, progress)


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_every_file_comes_back(people: Path, packed: Path) -> None:
    root = open_root(packed)
    found = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    assert found == sorted(
        path.relative_to(people).as_posix() for path in people.rglob("*") if path.is_file()
    )
    for name in found:
        if name.startswith("images/") or name.endswith((".json", ".txt")):
            assert (root / name).read_bytes() == (people / name).read_bytes()
    for shard in packed.glob("*.tar"):
        assert shard.stat().st_size < SHARD + 10_240


def test_a_stopped_pack_goes_on_and_gives_the_same_bytes(people: Path, packed: Path, tmp_path: Path) -> None:
    count = 0

    def stop(_: int) -> None:
        nonlocal count
        count += 1
        if count == 40:
            raise KeyboardInterrupt

    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        run(people, out, progress=stop)
    there = sorted(out.glob("*.tar"))
    assert there and len(there) < len(list(packed.glob("*.tar")))
    assert not (out / "index.json").exists()
    with pytest.raises(DataError, match="not finished"):
        open_root(out)
    with pytest.raises(SettingError, match="unfinished pack of other files or settings"):
        run(people, out, 2 * SHARD)
    times = {path: path.stat().st_mtime_ns for path in there[1:]}
    there[0].write_bytes(there[0].read_bytes()[:-1] + b"x")  # damaged meanwhile: written again
    done = run(people, out)
    assert done.kept == len(there) - 1
    assert times == {path: path.stat().st_mtime_ns for path in there[1:]}
    assert digests(out) == digests(packed)
    assert run(people, out).kept == done.shards, "a rerun finds all there"


def test_what_is_refused(people: Path, packed: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="another pack"):
        run(people, packed, 2 * SHARD)
    full = tmp_path / "full"
    full.mkdir()
    (full / "notes.txt").write_text("mine")
    with pytest.raises(SettingError, match="other files"):
        run(people, full)
    with pytest.raises(SettingError, match="a separate folder"):
        run(people, people / "packed")
    with pytest.raises(SettingError, match="packed already"):
        run(packed, tmp_path / "again")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="nothing to pack"):
        run(tmp_path / "empty", tmp_path / "out")
    assert sorted(path.name for path in full.iterdir()) == ["notes.txt"]
    assert not (tmp_path / "out").exists()


def test_damaged_shards_and_indices_are_named(packed: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(packed, copy)
    shard = sorted(copy.glob("*.tar"))[1]
    whole = shard.read_bytes()
    root = open_root(copy)
    inside = next(path for path in (root / "images").iterdir() if path.place()[2].shard == 1)
    start = inside.place()[2].offset
    shard.write_bytes(whole[:start] + b"damage" + whole[start + 6 :])
    with pytest.raises(DataError, match=rf"{shard.name} at offset {start:,} have another checksum"):
        inside.read_bytes()
    shard.write_bytes(whole[:-2000])
    with pytest.raises(DataError, match=rf"{shard.name}: .* the index says {len(whole):,}: truncated"):
        list(open_root(copy).iterdir())
    shard.unlink()
    with pytest.raises(DataError, match=rf"{shard.name} does not exist"):
        list(open_root(copy).iterdir())
    shard.write_bytes(whole)
    content = json.loads((copy / "index.json").read_text())
    content["sapiens2_lit_pack"]["format"] = 99
    (copy / "index.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match="format` is 99, expected 1"):
        open_root(copy)


def test_an_index_of_other_shards_is_named(people: Path, packed: Path, tmp_path: Path) -> None:
    mixed, other = tmp_path / "mixed", tmp_path / "other"
    run(people, other, 2 * SHARD)
    shutil.copytree(packed, mixed)
    shutil.copy(other / "index.sqlite", mixed / "index.sqlite")
    with pytest.raises(DataError, match=r"index\.sqlite: .*another pack"):
        list(open_root(mixed).iterdir())


def test_webdataset_reads_the_shards(people: Path, packed: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    shards = sorted(map(str, packed.glob("*.tar")))
    found = {}
    for sample in webdataset.WebDataset(shards, shardshuffle=False):
        found[sample["__key__"]] = sample
    pictures = sorted((people / "images").iterdir())
    assert sorted(found) == [picture.stem for picture in pictures]
    for picture in pictures:
        assert found[picture.stem][f"images{picture.suffix}"] == picture.read_bytes()
        assert len(found[picture.stem]) > 5, "labels stand beside their picture"


def test_shards_are_plain_tar(packed: Path) -> None:
    for path in packed.glob("*.tar"):
        with tarfile.open(path) as archive:
            assert all(member.isfile() and member.mtime == 0 for member in archive)


def test_labels_keep_their_numbers() -> None:
    assert unfiltered(b"no png") is None
    values = np.zeros((40, 30), np.float32)
    file = io.BytesIO()
    np.savez(file, depth=values)
    made = deflated(file.getvalue())
    assert made is not None and len(made) < len(file.getvalue()) / 2
    assert (np.load(io.BytesIO(made))["depth"] == values).all()
    assert deflated(npz("depth", values)) is None, "as it is already"


@pytest.mark.parametrize(("text", "count"), [("1GB", 10**9), ("512 MiB", 512 * 2**20), ("1500", 1500)])
def test_sizes_are_read_as_people_write_them(text: str, count: int) -> None:
    assert parse_bytes(text, "--shard_size") == count
    with pytest.raises(SettingError, match="--shard_size is 'x'"):
        parse_bytes("x", "--shard_size")


def test_the_command_prints_sizes_and_what_reads_them(
    people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["pack", str(people), str(tmp_path / "out"), "--shard_size", "60kB"]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "10 samples" in said and "images/*" in said and f"--data.root {tmp_path / 'out'}" in said
    assert main(command) == 0
    assert "all there already" in capsys.readouterr().out
    assert main([*command[:-1], "1"]) != 0
    assert "--shard_size is 1, expected 10,000 bytes" in capsys.readouterr().err
