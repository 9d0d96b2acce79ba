"""Selections: stages, order of shards, messages."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import picture_pool as pool
import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest

from sapiens2_lit.curation.scores import Scores, read_scores
from sapiens2_lit.curation.select import select
from sapiens2_lit.curation.settings import SelectSettings, read_settings
from sapiens2_lit.curation.shards import HEADER, shard_file
from sapiens2_lit.errors import DataError, SettingError


def settings(**given: Any) -> SelectSettings:
    return read_settings(given, "select.yaml")


@pytest.fixture
def scores(tmp_path: Path) -> Scores:
    points, _ = pool.blobs((300, 100, 30))
    pool.write_scores(tmp_path / "scores", pool.rows_of(points), shards=5)
    return read_scores([tmp_path / "scores"])


def test_shards_in_any_order_give_the_same_selection(scores: Scores, tmp_path: Path) -> None:
    chosen = settings(
        cuts={"sharpness": {"min": 0.1}}, near_duplicates={"cosine": 0.995}, clusters=[20, 3], sample=60
    )
    files = [shard_file(tmp_path / "scores", shard) for shard in range(5)]
    first = select(read_scores(files), chosen)
    for order in ([4, 1, 3, 0, 2], [2, 4, 0, 1, 3]):
        other = tmp_path / f"renamed{order[0]}"
        other.mkdir()
        for place, shard in enumerate(order):  # also under other names
            shutil.copy(files[shard], other / f"part-{place:06}.parquet")
        again = select(read_scores([other]), chosen)
        assert again.paths == first.paths and again.as_dict() == first.as_dict()
    assert len(first.paths) == 60 and first.paths == sorted(first.paths)


def test_each_stage_says_what_it_left(scores: Scores) -> None:
    found = select(scores, settings(cuts={"sharpness": {"min": 0.25, "max": 0.75}}, sample=50))
    stages = {one.name: one.left for one in found.stages}
    assert list(stages) == [
        "scored", "readable", "sharpness min 0.25", "sharpness max 0.75", "equal files", "duplicates within 48 bits",
        "sample of 50",
    ]  # fmt: skip
    values = np.arange(430) / 430
    assert stages["scored"] == 430 and stages["sharpness min 0.25"] == (values >= 0.25).sum()
    assert stages["sharpness max 0.75"] == ((values >= 0.25) & (values <= 0.75)).sum()
    assert stages["sample of 50"] == 50 == len(found.paths)
    more = select(scores, settings(sample=5000))
    assert len(more.paths) == 430 and more.stages[-1].note == "5000 were wanted, 430 were left"


def test_sheets_have_the_pictures_next_to_the_threshold(scores: Scores) -> None:
    found = select(scores, settings(cuts={"sharpness": {"min": 0.5}}))
    (sheet, pairs) = found.sheets
    assert [len(sheet.kept), len(sheet.dropped)] == [48, 48]
    assert [one.paths[0] for one in sheet.kept] == [f"{index:05}.jpg" for index in range(215, 263)]
    assert [one.paths[0] for one in sheet.dropped] == [f"{index:05}.jpg" for index in range(214, 166, -1)]
    assert not pairs.dropped, "random hashes are no duplicates"


def test_a_picture_without_a_value_passes_no_cut(tmp_path: Path) -> None:
    rows = pool.rows_of(np.eye(4, dtype=np.float32))
    rows[1]["sharpness"] = None
    rows[2] = {"path": rows[2]["path"], "bytes": 3, "sha256": "0", "damage": "damaged"}
    pool.write_scores(tmp_path / "scores", rows)
    found = select(read_scores([tmp_path / "scores"]), settings(cuts={"sharpness": {"max": 1}}))
    assert found.paths == ["00000.jpg", "00003.jpg"]
    assert [one.note for one in found.stages if one.name == "sharpness max 1"] == ["1 without a value"]


def test_embeddings_survive_a_shard_without_any(tmp_path: Path) -> None:
    rows = pool.rows_of(np.eye(4, dtype=np.float32))
    rows[:2] = [{"path": row["path"], "bytes": 3, "sha256": "0", "damage": "damaged"} for row in rows[:2]]
    pool.write_scores(tmp_path / "scores", rows, shards=2)
    found = select(read_scores([tmp_path / "scores"]), settings(clusters=[2], sample=2))
    assert found.paths == ["00002.jpg", "00003.jpg"]
    assert np.array_equal(found.scores.embeddings(), np.eye(4)[2:])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"cuts": {"sharpnes": {"min": 1}}},
            "cuts.sharpnes: the scores have no such column; did you mean sharpness",
        ),
        ({"cuts": {"path": {"min": 1}}}, "cuts.path: the column holds string"),
    ],
)
def test_a_column_that_nobody_has(scores: Scores, given: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        select(scores, settings(**given))


def test_without_embeddings_clusters_are_refused(scores: Scores) -> None:
    bare = Scores(scores.root, scores.table.drop_columns("embedding"))
    with pytest.raises(SettingError, match="clusters: the scores have no embedding: run `curate score` with"):
        select(bare, settings(clusters=[2], sample=3))


def test_an_empty_selection_names_the_stage_and_the_values(scores: Scores) -> None:
    with pytest.raises(
        DataError, match=r"after `sharpness min 2`, of 430 pictures before it: its values run"
    ):
        select(scores, settings(cuts={"sharpness": {"min": 2}}))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"cut": {}}, "'cut', which is not a setting of `curate select`; did you mean cuts"),
        ({"cuts": {"a": {"least": 1}}}, "cuts.a is .* expected some of min, max, equals"),
        ({"cuts": {"a": {"min": "x"}}}, "cuts.a.min is 'x', expected a number"),
        ({"cuts": [1]}, "cuts is .1., expected columns"),
        ({"duplicates": 3}, r"duplicates is 3, expected {hamming: NUMBER} or null"),
        ({"duplicates": {"hamming": 300}}, "duplicates.hamming is 300, expected 0 to 128"),
        ({"near_duplicates": {"cosine": 2}}, "near_duplicates.cosine is 2, expected a number up to 1"),
        ({"clusters": [10, 100], "sample": 5}, "expected decreasing whole numbers"),
        ({"clusters": [10]}, "clusters has no effect without sample"),
        ({"sample": 0}, "sample is 0, expected a number of pictures"),
    ],
)
def test_settings_that_do_not_fit(given: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=f"select.yaml: .*{message}"):
        settings(**given)


def rewrite(file: Path, **header: Any) -> None:
    """Change fields of a file's header."""
    table = parquet.read_table(file)
    found = {**json.loads(table.schema.metadata[HEADER]), **header}
    parquet.write_table(table.replace_schema_metadata({HEADER: json.dumps(found)}), file)


def test_files_of_another_kind_are_named(scores: Scores, tmp_path: Path) -> None:
    file = shard_file(tmp_path / "scores", 1)
    whole = file.read_bytes()
    rewrite(file, version=7)
    with pytest.raises(DataError, match=r"part-000001.parquet: has scores of version 7, expected 1"):
        read_scores([tmp_path / "scores"])
    parquet.write_table(arrow.table({"url": ["a"], "text": ["b"]}), file)
    with pytest.raises(DataError, match=r"was not written by `sapiens2-lit curate score`: .* url, text"):
        read_scores([tmp_path / "scores"])
    file.write_bytes(whole)
    rewrite(file, settings={"backbone": "other"})
    with pytest.raises(DataError, match=r"was scored with \{'backbone': 'other'\}"):
        read_scores([tmp_path / "scores"])
    file.write_bytes(whole)
    rewrite(file, root="/elsewhere")
    with pytest.raises(DataError, match="pictures in /elsewhere"):
        read_scores([tmp_path / "scores"])
    table = parquet.read_table(shard_file(tmp_path / "scores", 0))
    parquet.write_table(table.drop_columns("sharpness"), shard_file(tmp_path / "scores", 0))
    file.write_bytes(whole)
    with pytest.raises(DataError, match=r"has other columns than .*: sharpness only in one"):
        read_scores([tmp_path / "scores"])


def test_missing_damaged_and_doubled_shards(scores: Scores, tmp_path: Path) -> None:
    folder = tmp_path / "scores"
    whole = shard_file(folder, 1).read_bytes()
    shutil.copytree(folder, tmp_path / "copy")
    with pytest.raises(DataError, match=r"00000.jpg: is in two files"):
        read_scores([folder, tmp_path / "copy"])
    shard_file(folder, 1).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"part-000001.parquet: is damaged"):
        read_scores([folder])
    shard_file(folder, 1).unlink()
    with pytest.raises(DataError, match=r"1 of 5 shards are missing: part-000001; .* --partial"):
        read_scores([folder])
    assert len(read_scores([folder], partial=True)) == 430 * 4 // 5
    with pytest.raises(DataError, match="there is no such file or folder"):
        read_scores([tmp_path / "nowhere"])
    with pytest.raises(DataError, match=r"has no part-\*.parquet"):
        read_scores([tmp_path])
