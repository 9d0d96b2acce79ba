"""The list of pictures that a model has labelled."""

import threading
from pathlib import Path

from sapiens2_lit.data.pseudo.origin import Origin, read_origin
from sapiens2_lit.data.pseudo.samples import Sample, find_same, hash_of


def test_every_twin_of_a_picture_is_found(tmp_path: Path) -> None:
    file = tmp_path / "labelled.jpg"
    file.write_bytes(b"the same")
    own = (file.stat().st_size, hash_of(file))
    samples = [Sample(name, f"{name}.jpg", *own, {}) for name in ("a", "b")]
    samples.append(Sample("c", "c.jpg", own[0], "another", {}))
    assert find_same(samples, [file]) == {"a": file, "b": file}


def test_processes_may_begin_a_folder_at_once(tmp_path: Path) -> None:
    teacher = {"model": "m", "fingerprint": "f" * 16, "image_size": [64, 48], "view": "stretch"}
    heads = {"seg": {"label": "segmentation", "folder": "masks", "confidence": "softmax", "classes": []}}
    origin = Origin(teacher, {}, heads, "2026-01-31")
    origin.write(tmp_path)
    failed: list[Exception] = []

    def begin() -> None:
        try:
            for _ in range(30):
                origin.write(tmp_path)
                assert read_origin(tmp_path) == origin
        except Exception as error:  # shown below, whatever it is
            failed.append(error)

    threads = [threading.Thread(target=begin) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert [path.name for path in tmp_path.iterdir()] == ["pseudo_labels.json"]
