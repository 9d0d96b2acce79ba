"""Read numbers from disk: npy, npz, png of 8 and 16 bits, exr. Nothing is ever unpickled."""

import io
import lzma
import math
import os
import re
import struct
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import cv2
import deflate
import numpy as np
import numpy.typing as npt

from sapiens2_lit.data.readers.exr import read_exr
from sapiens2_lit.data.readers.png import read_unfiltered
from sapiens2_lit.errors import DataError

Array = npt.NDArray[Any]

# Errors of numpy, zip files and OpenCV for files that are broken anywhere: headers are parsed as Python literals.
_BROKEN = (
    OSError,
    EOFError,
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    SyntaxError,
    ArithmeticError,
    MemoryError,
    RuntimeError,  # an encrypted zip, an unknown compression, endless nesting
    struct.error,
    tokenize.TokenError,
    zlib.error,
    deflate.DeflateError,
    lzma.LZMAError,
    zipfile.BadZipFile,
    cv2.error,
)
_CONVERTIBLE = (np.uint8, np.uint16, np.float32)  # types that OpenCV converts
_LOCAL_HEADER = struct.Struct("<4s5H3I2H")  # header of a member of a zip file
_HEADER = 1 << 16  # an array's header ends within this number of bytes
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
# A header as numpy writes it. Numpy's reader parses Python, which CPython 3.11 cannot do in two threads at once
# (SystemError: AST constructor recursion depth mismatch).
_PLAIN = re.compile(
    rb"\x93NUMPY\x01\x00(?P<size>..)\{'descr': '(?P<dtype>[<>|](?:b1|[iu][1248]|f[248]))', "
    rb"'fortran_order': (?P<fortran>True|False), 'shape': \((?P<shape>[\d, ]+)\), \} *\n",
    re.DOTALL,
)
_NPY, _ZIP = np.lib.format.MAGIC_PREFIX, b"PK"  # the first bytes of these files


def read_array(path: Path, kind: str, channels: int = 1, layer: str | None = None) -> Array:
    """Read the numbers of a file, (H, W) or (H, W, C), unchanged: floats, or 8 or 16-bit integers; colors as RGB(A).

    Args:
        path: npy, npz with one array or with one named `kind`, or an image.
        kind: name of the label for messages, and for the choice of a pass in files with several.
        channels: expected number, 1 or 3, for the choice of a pass in exr files.
        layer: layer or channel of exr files to read.

    Raises:
        DataError: the file is missing or broken, holds objects, or has no array of two or three dimensions.
    """
    readers = {".npy": _read_npy, ".npz": _read_npz}
    try:
        values = read_exr(path, kind, channels, layer) if path.suffix == ".exr" and path.is_file() else None
        if values is None:
            values = readers.get(path.suffix, _read_picture)(path, kind)
    except FileNotFoundError:
        raise DataError(f"{path}: the {kind} label does not exist.") from None
    except _BROKEN as error:
        if isinstance(error, DataError):
            raise
        if str(error).startswith("Object arrays"):
            raise DataError(
                f"{path}: the file holds Python objects, which are never loaded because they could run code; expected "
                f"numbers: np.save with an array of a numeric type, such as {kind}.astype('float32')."
            ) from error
        raise DataError(
            f"{path}: the {kind} label cannot be read, truncated or of another format: {error or type(error).__name__}"
        ) from error
    if values.dtype.kind not in "fiub":
        raise DataError(f"{path}: the {kind} label holds {values.dtype}, expected real numbers.")
    if values.ndim not in (2, 3):
        raise DataError(
            f"{path}: the {kind} label has the shape {values.shape}, expected (height, width) or (height, width, "
            "channels)."
        )
    return values


def _read_npy(path: Path, kind: str) -> Array:
    with path.open("rb") as file:
        _check_start(path, kind, _NPY, file)
        if isinstance(file, io.BytesIO):  # from a shard: already read
            return _from_bytes(file.getvalue())
        return np.asarray(np.load(file, allow_pickle=False))


def _read_npz(path: Path, kind: str) -> Array:
    with path.open("rb") as file:
        _check_start(path, kind, _ZIP, file)
        with np.load(file, allow_pickle=False) as archive:
            names = list(archive.files)
        name = kind if kind in names else names[0] if len(names) == 1 else None
        if name is None:
            raise DataError(
                f"{path}: the file holds the arrays {', '.join(names) or '(none)'}, expected one, or one named "
                f"`{kind}`."
            )
        return _read_member(file, f"{name}.npy")


def _read_member(file: IO[bytes], name: str) -> Array:
    """Return an array of an npz, inflated at once; numpy would read and copy it in small pieces.

    Its checksum is checked.
    """
    with zipfile.ZipFile(file) as archive:
        entry = (
            archive.getinfo(name)
            if name in archive.namelist()
            else archive.getinfo(name.removesuffix(".npy"))
        )
        if entry.compress_type != zipfile.ZIP_DEFLATED or entry.flag_bits & 1:
            data: Any = archive.read(entry)
        else:
            data = _inflate(file, entry)
    return _from_bytes(data)


def _from_bytes(data: Any) -> Array:
    """Return the array of an npy file."""
    plain = _PLAIN.match(data[:_HEADER])
    end = 10 + int.from_bytes(plain["size"], "little") if plain is not None else 0
    if plain is not None and plain.end() == end:
        sides = tuple(int(side) for side in plain["shape"].split(b",") if side.strip())
        values = np.frombuffer(data, plain["dtype"].decode(), math.prod(sides), end)
        return values.reshape(sides, order="F" if plain["fortran"] == b"True" else "C")
    file = io.BytesIO(data[:_HEADER])
    version = np.lib.format.read_magic(file)
    if version not in _HEADERS:
        return np.asarray(np.lib.format.read_array(io.BytesIO(data), allow_pickle=False))
    shape, fortran, dtype = _HEADERS[version](file)
    if dtype.hasobject or file.tell() >= _HEADER:
        return np.asarray(np.lib.format.read_array(io.BytesIO(data), allow_pickle=False))
    values = np.frombuffer(data, dtype, math.prod(shape), file.tell())
    return values.reshape(shape, order="F" if fortran else "C")


def _inflate(file: IO[bytes], entry: zipfile.ZipInfo) -> Any:
    file.seek(entry.header_offset)
    header = file.read(_LOCAL_HEADER.size)
    start, *_, name, extra = _LOCAL_HEADER.unpack(header)
    if start != b"PK\3\4":
        raise zipfile.BadZipFile(f"no header of {entry.filename} where the directory says")
    file.seek(name + extra, os.SEEK_CUR)
    data = deflate.deflate_decompress(file.read(entry.compress_size), entry.file_size)
    if len(data) != entry.file_size or deflate.crc32(data) != entry.CRC:
        raise zipfile.BadZipFile(f"{entry.filename} is damaged, its checksum differs")
    return data


def _check_start(path: Path, kind: str, expected: bytes, file: IO[bytes]) -> None:
    """Check that a file begins as numpy writes it.

    Numpy takes an unknown file for pickled objects, and advises to load them unsafely.

    Raises:
        DataError: it begins otherwise.
    """
    start = file.read(len(expected))
    file.seek(0)
    if start == expected:
        return
    if expected == _ZIP and _NPY.startswith(start) and start:
        raise DataError(f"{path}: an npy file with the suffix of an npz: rename it to {path.stem}.npy.")
    raise DataError(
        f"{path}: the {kind} label cannot be read, truncated or of another format: it begins with {start!r}, expected "
        f"{expected!r}, as numpy writes it."
    )


def _read_picture(path: Path, kind: str) -> Array:
    os.environ.setdefault(
        "OPENCV_IO_ENABLE_OPENEXR", "1"
    )  # some builds of OpenCV read EXR, but only if enabled
    file = path.read_bytes()
    if (plain := read_unfiltered(file)) is not None:
        return plain
    data = np.frombuffer(file, dtype=np.uint8)
    values = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if data.size else None
    if values is None:
        hint = " EXR needs OpenEXR: pip install 'sapiens2-lit[exr]', or convert it to npz."
        hint = hint if path.suffix == ".exr" else ""
        raise DataError(
            f"{path}: {data.size} bytes that are no complete {path.suffix[1:]} file: write it again.{hint}"
        )
    if values.ndim == 3:
        # an index [2, 1, 0] would leave the channels first in memory, which all later steps would have to undo
        turn = {3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGBA}[values.shape[2]]
        values = (
            cv2.cvtColor(values, turn)
            if values.dtype in _CONVERTIBLE
            else values[..., [2, 1, 0, 3][: values.shape[2]]]
        )
    return np.asarray(values)
