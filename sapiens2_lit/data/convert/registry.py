"""The formats that can be converted, by their names in `sapiens2-lit convert --from`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sapiens2_lit.data.convert.dataset import Converted
from sapiens2_lit.data.convert.datumaro import Reader
from sapiens2_lit.data.convert.sleap import read_deeplabcut, read_sleap
from sapiens2_lit.data.convert.tools import read_tool
from sapiens2_lit.data.layouts.registry import TOOLS

OWN = {tool.name: tool for tool in TOOLS}  # these need no other library
BY_SLEAP = {"deeplabcut": read_deeplabcut, "sleap": read_sleap}


@contextmanager
def opened(source: Path, name: str) -> Iterator[Converted]:
    """Yield the content of a folder or file of a format; files stay until the block ends.

    Raises:
        SettingError: the library for it is not installed, or the format is unknown.
        DataError: it cannot be read in that format.
    """
    if name in OWN:
        yield read_tool(source, OWN[name])
    elif name in BY_SLEAP:
        yield BY_SLEAP[name](source)
    else:
        reader = Reader(source, name)
        try:
            yield reader.read()
        finally:
            reader.close()
