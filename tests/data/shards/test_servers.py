"""Shards of a server of S3 and over HTTP: the same samples, little fetched, and faults tried again, then named."""

import logging
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import torch
from fsspec.implementations.http import HTTPFileSystem
from fsspec.registry import _registry as known_file_systems

from sapiens2_lit.data.shards import storage
from sapiens2_lit.data.shards.cache import BlockCache, remove_oldest
from sapiens2_lit.data.shards.roots import open_root
from sapiens2_lit.data.shards.settings import ShardReading
from sapiens2_lit.datamodules import NormalDataModule
from sapiens2_lit.errors import DataError, SettingError, StorageError

pytest.importorskip("s3fs")

S3 = "s3://bucket/people"


def make(root: Any, **settings: Any) -> NormalDataModule:
    data = NormalDataModule(
        str(root), **{"image_size": (64, 48), "num_workers": 0, "batch_size": 2} | settings
    )
    data.setup("fit")
    return data


def assert_same(first: list[dict[str, Any]], second: list[dict[str, Any]]) -> None:
    assert len(first) == len(second) > 0
    for one, other in zip(first, second, strict=True):
        assert all(torch.equal(one[key], other[key]) for key in ("image", "normal", "valid"))


def a_picture(root: str) -> Path:
    return sorted((open_root(root) / "images").iterdir())[0]


@pytest.mark.parametrize("kind", ["s3", "http"])
def test_samples_are_those_of_the_folder_and_fetched_once(server, people: Path, kind: str) -> None:
    root = S3 if kind == "s3" else server.http
    settings = {"shards": ShardReading(window=None)}
    data = make(root, **settings)
    assert_same(list(make(people).train_dataloader()), list(data.train_dataloader()))
    asked = len(server.asked)
    assert all(one.startswith("bytes=") for one in server.asked)
    assert_same(list(make(people).train_dataloader()), list(data.train_dataloader()))
    assert len(server.asked) == asked, "the cache has them"


def test_a_stopped_run_goes_on_exactly_with_workers(server) -> None:
    settings: dict[str, Any] = {"shards": ShardReading(window=1)}
    whole = [batch["sample"] for batch in make(S3, **settings).train_dataloader()]
    stopped = make(S3, num_workers=2, **settings).train_dataloader()
    assert [batch["sample"] for batch in islice(stopped, 2)] == whole[:2]
    resumed = make(S3, num_workers=2, **settings).train_dataloader()
    resumed.load_state_dict(stopped.state_dict())
    assert [batch["sample"] for batch in resumed] == whole[2:]


@pytest.mark.parametrize("kind", ["s3", "http"])
@pytest.mark.parametrize("fault", ["slow", "broken"])
def test_a_fault_is_tried_again(server, people, caplog, kind: str, fault: str) -> None:
    picture = a_picture(S3 if kind == "s3" else server.http)
    server.faults = [fault, fault]
    with caplog.at_level(logging.WARNING):
        assert picture.read_bytes() == (people / "images" / picture.name).read_bytes()
    assert "try 1 of 5" in caplog.text and "try 2 of 5" in caplog.text


@pytest.mark.parametrize("fault", ["broken", "expired"])
def test_a_fault_that_stays_is_named_with_shard_and_offset(server, fault: str) -> None:
    picture = a_picture(S3)
    server.faults = [fault] * 20
    with pytest.raises(StorageError, match=r"s3://bucket/people/shard-\d+\.tar at offset \d+: ") as caught:
        picture.read_bytes()
    assert f"after {storage.TRIES} tries" in str(caught.value)
    assert ("AWS_ACCESS_KEY_ID" in str(caught.value)) == (fault == "expired")
    server.faults = []
    assert picture.read_bytes(), "nothing half was kept"


@pytest.mark.parametrize("kind", ["s3", "http"])
def test_a_truncated_shard_is_named(server, kind: str) -> None:
    picture = a_picture(S3 if kind == "s3" else server.http)
    server.cut = 700
    with pytest.raises(DataError, match=r"shard-\d+\.tar: 700 bytes, the index says .*truncated.*offset"):
        picture.read_bytes()


def test_missing_credentials_and_places_are_named(server, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"s3://bucket/nobody: .*index\.json"):
        open_root("s3://bucket/nobody")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(StorageError, match="AWS_ACCESS_KEY_ID"):
        open_root(S3)


def test_a_lost_connection_is_no_missing_file(server, caplog, monkeypatch: pytest.MonkeyPatch) -> None:
    fetch, lost = HTTPFileSystem._cat_file, [aiohttp.ServerDisconnectedError()]

    async def once_lost(*args: Any, **settings: Any) -> bytes:
        if lost:
            raise lost.pop()
        return await fetch(*args, **settings)

    monkeypatch.setattr(HTTPFileSystem, "_cat_file", once_lost)
    assert (open_root(server.http) / "images").is_dir()
    assert "try 1 of 5" in caplog.text
    with pytest.raises(DataError, match=r"nobody: no index\.json there or above it"):
        open_root(f"{server.http.rpartition('/')[0]}/nobody")


def test_a_missing_package_says_what_to_install(server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.delitem(known_file_systems, "s3", raising=False)  # found before
    with pytest.raises(SettingError, match=r"pip install 'sapiens2-lit\[s3\]'"):
        open_root(S3)
    with pytest.raises(SettingError, match="nosuch://x"):
        open_root("nosuch://x/y")


def test_paths_inside_a_pack_are_found_from_above(server, people: Path) -> None:
    root = open_root(f"{S3}/images")
    assert sorted(path.name for path in root.iterdir()) == sorted(
        p.name for p in (people / "images").iterdir()
    )
    assert str(root) == f"{S3}/images"


def test_a_cache_smaller_than_a_shard_is_refused(server) -> None:
    picture = sorted((open_root(S3, ShardReading(cache_size="10kB")) / "images").iterdir())[0]
    with pytest.raises(SettingError, match=r"data\.shards\.cache_size is 10,000 bytes, the largest shard of"):
        picture.read_bytes()


def test_a_damaged_block_is_fetched_again(server, people: Path, tmp_path: Path) -> None:
    picture = a_picture(S3)
    picture.read_bytes()
    for block in (tmp_path / "cache").rglob("0000000"):
        block.write_bytes(bytes(len(block.read_bytes())))
    assert picture.read_bytes() == (people / "images" / picture.name).read_bytes()


def test_the_cache_stays_below_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sapiens2_lit.data.shards.cache.BLOCK", 100)
    content = bytes(range(200)) * 10
    cache = BlockCache(tmp_path, "pack", 1000, lambda name, total, start, end: content[start:end])
    for start in range(0, 2000, 150):
        assert cache.read("shard", 2000, start, min(2000, start + 333)) == content[start : start + 333]
        assert sum(path.stat().st_size for path in (tmp_path / "pack").rglob("0*") if path.is_file()) <= 1000
    assert remove_oldest(tmp_path, 100) <= 100
