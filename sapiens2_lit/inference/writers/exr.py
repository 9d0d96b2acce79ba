"""Write OpenEXR files of 32-bit floats, losslessly compressed."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sapiens2_lit.atomic_write import unwritable_is_error, whole_file
from sapiens2_lit.errors import SettingError


def import_openexr() -> Any:
    """Import OpenEXR, the package of the Academy Software Foundation.

    Raises:
        SettingError: It is not installed.
    """
    try:
        import OpenEXR
    except ImportError as error:
        raise SettingError("--formats exr needs OpenEXR: pip install 'sapiens2-lit[exr]'") from error
    return OpenEXR


def write_exr(path: Path, channels: dict[str, npt.NDArray[np.float32]], comments: str) -> None:
    """Write a file completely or not at all.

    Args:
        path: Of the file.
        channels: (H, W) each, or (H, W, 3) for `RGB`.
        comments: Text in the header.

    Raises:
        SettingError: The folder cannot be written to, or is full.
    """
    openexr = import_openexr()
    header = {"compression": openexr.ZIP_COMPRESSION, "type": openexr.scanlineimage, "comments": comments}
    layers = {name: np.ascontiguousarray(values) for name, values in channels.items()}
    with unwritable_is_error(path), whole_file(path) as temporary:
        try:
            openexr.File(header, layers).write(str(temporary))
        except RuntimeError as error:  # its only kind
            raise OSError(str(error)) from error
