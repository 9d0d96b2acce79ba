"""Write the pictures of a dataset: links to the originals, or copies."""

from collections.abc import Mapping
from pathlib import Path

from sapiens2_lit.atomic_write import unwritable_is_error, whole_file
from sapiens2_lit.data.pseudo.samples import hash_of
from sapiens2_lit.data.shards.paths import ShardPath
from sapiens2_lit.errors import DataError, SettingError
from sapiens2_lit.inference.prediction import Prediction
from sapiens2_lit.inference.sources import Frame
from sapiens2_lit.inference.writers.base import Writer

FOLDER = "images"


class Pictures(Writer):
    """DIR/images/NAME.SUFFIX: a link to the picture, or a copy of it.

    Args:
        files: The pictures by the name of their results.
        copy: Whether to copy them.
    """

    name = "picture"
    frames = False

    def __init__(self, files: Mapping[str, Path], copy: bool) -> None:
        super().__init__("", "image")
        self.files = files
        self.copy = copy

    def path(self, name: str, folder: Path) -> Path:
        """Return the path of a picture in the dataset."""
        return folder / FOLDER / picture_name(name, self.files[name])

    def is_finished(self, name: str, folder: Path) -> bool:
        return self.path(name, folder).is_file()

    def write(self, prediction: Prediction, frame: Frame, folder: Path) -> None:
        path, source = self.path(frame.name, folder), self.files[frame.name].resolve()
        with unwritable_is_error(path), whole_file(path) as temporary:
            temporary.unlink(missing_ok=True)  # a killed run may have left a link
            if self.copy or isinstance(source, ShardPath):  # which cannot be linked to
                temporary.write_bytes(source.read_bytes())
                return
            try:
                temporary.symlink_to(source)
            except (NotImplementedError, PermissionError) as error:
                raise SettingError(
                    f"{path}: links cannot be made here ({error}): give --copy_images"
                ) from error

    def check(self, folder: Path) -> None:
        """Check that no picture of another run has the name of a coming one.

        Raises:
            DataError: One does.
        """
        for name, source in self.files.items():
            path = self.path(name, folder)
            if not path.exists() or path.samefile(source):
                continue
            if path.stat().st_size != source.stat().st_size or hash_of(path) != hash_of(source):
                raise DataError(
                    f"{path}: a picture other than {source} has this name, and its labels would be mixed up: rename "
                    "one, or choose another folder for --as_dataset."
                )


def picture_name(name: str, file: Path) -> str:
    """Return a picture's name below images/."""
    return f"{name}{file.suffix}"
