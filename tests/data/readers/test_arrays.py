"""Arrays from files: broken ones are named, and nothing is ever unpickled."""

import pickle
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from sapiens2_lit.data.readers.arrays import read_array
from sapiens2_lit.errors import DataError

NORMALS = np.full((20, 30, 3), (0, 0, -1), np.float32)


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_objects_are_never_unpickled(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    ran = tmp_path / "ran"

    class Trap:
        def __reduce__(self):
            return (Path.touch, (ran,))

    objects = np.array([Trap()], dtype=object)
    np.save(path, objects) if suffix == ".npy" else np.savez(path, depth=objects)
    with pytest.raises(DataError, match=r"holds Python objects, which are never loaded"):
        read_array(path, "depth")
    assert not ran.exists()
    (tmp_path / "b.npy").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(DataError, match=r"b.npy: "):
        read_array(tmp_path / "b.npy", "depth")
    assert not ran.exists()


def test_broken_files_are_named(tmp_path):
    np.save(tmp_path / "a.npy", NORMALS)
    np.savez(tmp_path / "a.npz", normal=NORMALS)
    np.savez(tmp_path / "two.npz", one=NORMALS, two=NORMALS)
    with (tmp_path / "named.npz").open("wb") as file:
        np.save(file, NORMALS)
    cv2.imwrite(
        str(tmp_path / "a.png"), np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8)
    )
    for name in ("a.npy", "a.npz", "a.png"):
        path = tmp_path / name
        whole = path.read_bytes()
        for broken in (b"", b"nothing", whole[:40], whole[: len(whole) // 2], whole[:-20]):
            path.write_bytes(broken)
            with pytest.raises(
                DataError, match=rf"{name}: .*(cannot be read, truncated|no complete png)"
            ) as caught:
                read_array(path, "normal")
            assert "pickle" not in str(caught.value), "nobody is told to load it unsafely"
    with pytest.raises(
        DataError, match=r"named.npz: an npy file with the suffix of an npz: rename it to named.npy"
    ):
        read_array(tmp_path / "named.npz", "normal")
    with pytest.raises(
        DataError, match=r"two.npz: the file holds the arrays one, two, expected one, or one named `normal`"
    ):
        read_array(tmp_path / "two.npz", "normal")
    with pytest.raises(DataError, match=r"none.npy: the normal label does not exist"):
        read_array(tmp_path / "none.npy", "normal")


def test_broken_exr_files_are_named(tmp_path):
    pytest.importorskip("OpenEXR")
    (tmp_path / "c.exr").write_bytes(b"v/1\x01")
    with pytest.raises(DataError, match=r"c\.exr: the depth label cannot be read, truncated"):
        read_array(tmp_path / "c.exr", "depth")


def test_without_openexr_a_broken_exr_file_says_what_to_install(tmp_path):
    (tmp_path / "c.exr").write_bytes(b"v/1\x01")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "OpenEXR", None)
        with pytest.raises(DataError, match=r"EXR needs OpenEXR: .*, or convert it to npz"):
            read_array(tmp_path / "c.exr", "depth")


def test_broken_headers_are_errors_that_name_the_file(tmp_path):
    """Whatever byte of a header is wrong, numpy's own exceptions do not get through."""
    np.save(tmp_path / "a.npy", np.ones((4, 5), np.float32))
    whole = (tmp_path / "a.npy").read_bytes()
    broken = tmp_path / "b.npy"
    random = np.random.default_rng(0)
    for _ in range(2000):
        data = bytearray(whole)
        for place in random.integers(0, 128, random.integers(1, 4)):
            data[place] = random.integers(256)
        broken.write_bytes(bytes(data))
        try:
            values = read_array(broken, "depth")
        except DataError as error:
            assert "b.npy" in str(error)
        else:
            assert values.ndim in (2, 3)


@pytest.mark.parametrize("shape", ["(200000, 250000)", "(99999999999, 4)", "(4, 5" + ",)" * 40, "(" * 300])
def test_shapes_that_no_file_holds_are_errors(tmp_path, shape):
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (64 - (len(header) + 11) % 64) + b"\n"
    path = tmp_path / "a.npy"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(80))
    with pytest.raises(DataError, match=r"a.npy: the depth label cannot be read"):
        read_array(path, "depth")


@pytest.mark.parametrize("dtype", ["<f4", ">f8", "<f2", "|u1", "<u2", "|b1"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_plain_headers_are_read_without_parsing_python(tmp_path, monkeypatch, dtype, order):
    """CPython 3.11 cannot parse in two threads at once."""
    values = np.asarray(np.random.default_rng(0).integers(0, 2, (5, 4, 3)).astype(dtype), order=order)
    np.savez_compressed(tmp_path / "a.npz", a=values)
    monkeypatch.setattr("ast.literal_eval", lambda *_: pytest.fail("Python was parsed"))
    found = read_array(tmp_path / "a.npz", "a", channels=3)
    assert found.dtype == values.dtype and np.array_equal(found, values)
