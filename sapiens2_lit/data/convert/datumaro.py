"""Read every format that datumaro reads (https://open-edge-platform.github.io/datumaro), through COCO files."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sapiens2_lit.data.convert.dataset import Converted
from sapiens2_lit.data.convert.sleap import MISSING
from sapiens2_lit.data.convert.tools import read_tool
from sapiens2_lit.data.layouts import coco
from sapiens2_lit.errors import DataError, SettingError

_EXPORTS = {"points": "coco_person_keypoints", "polygon": "coco_instances", "mask": "coco_instances"}


class Reader:
    """Reads a dataset by datumaro; the COCO files that datumaro writes are kept until the reader is closed.

    Args:
        source: the folder or file.
        name: datumaro's name of the format.
    """

    def __init__(self, source: Path, name: str) -> None:
        self.source = source
        self.name = name
        self._folder = TemporaryDirectory(prefix="sapiens2-lit-")

    def close(self) -> None:
        """Remove the temporary COCO files."""
        self._folder.cleanup()

    def read(self) -> Converted:
        """Return the dataset.

        Raises:
            SettingError: datumaro is not installed, or does not know the format.
            DataError: datumaro cannot read the folder; the message says why.
        """
        dataset = self._load()
        kinds = {str(one.type.name) for item in dataset for one in item.annotations}
        exports = {_EXPORTS[kind] for kind in kinds & _EXPORTS.keys()}
        if not exports:
            raise DataError(
                f"{self.source}: read as {self.name}, it has {', '.join(sorted(kinds)) or 'no labels'}, expected "
                "points, polygons or masks."
            )
        found = Converted()
        for export in sorted(exports):
            folder = Path(self._folder.name) / export
            dataset.export(str(folder), export, save_media=True)
            read = read_tool(folder, coco.TOOL)
            found.people = found.people or read.people
            if read.maps and export != _EXPORTS["points"]:
                found.maps, found.classes = read.maps, read.classes
        return found

    def _load(self) -> Any:
        try:
            import datumaro
            from datumaro.components.environment import DEFAULT_ENVIRONMENT
        except ImportError as error:
            raise SettingError(MISSING.format(name=self.name, library="datumaro")) from error
        known = sorted(DEFAULT_ENVIRONMENT.importers)
        if self.name not in known:
            raise SettingError(f"--from {self.name}: unknown, expected one of {', '.join(known)}.")
        try:
            dataset = datumaro.Dataset.import_from(str(self.source), self.name)
            dataset.init_cache()  # otherwise errors come later
            return dataset
        except Exception as error:  # any error that a reader of foreign files meets
            raise DataError(
                f"{self.source}: datumaro cannot read it as {self.name}: {type(error).__name__}: {error}"
            ) from error
