"""Settings that a MultitaskDataModule gives to each of its datasets."""

from sapiens2_lit.data.held_out import Share
from sapiens2_lit.data.splits import Fold
from sapiens2_lit.datamodules.base import ImageDataModule
from sapiens2_lit.datamodules.dense import DenseDataModule
from sapiens2_lit.errors import SettingError
from sapiens2_lit.transforms.whole_image import ImageView

IMAGE_SIZE = (1024, 768)  # the default of every datamodule


def share_image(name: str, data: ImageDataModule, image_size: tuple[int, int], view: ImageView) -> None:
    """Give a dataset the size of the input, and the view if it reads whole images.

    Args:
        name: of the dataset, for messages.
        data: the dataset; crops of people and generated pictures have no view.
        image_size: (height, width) of the input.
        view: how whole images fit it.

    Raises:
        SettingError: the dataset has another size or view of its own.
    """
    if data.image_size not in (IMAGE_SIZE, image_size):
        raise SettingError(
            f"data.datasets.{name}.image_size is {data.image_size}, but data.image_size is {image_size}, and all "
            "datasets of a run have one size: set only data.image_size."
        )
    data.image_size = image_size
    if not isinstance(data, DenseDataModule):
        return
    if data.view not in ("letterbox", view):
        raise SettingError(
            f"data.datasets.{name}.view is {data.view}, but data.view is {view}, and a model has one view for all "
            "heads: set only data.view."
        )
    data.view = view
    data.check_view()


def share_part(name: str, data: ImageDataModule, fold: Fold | None, share: Share | None) -> None:
    """Give a dataset the part that it validates on; without `fold` and `share`, it keeps its own setting.

    Args:
        name: of the dataset, for messages.
        data: the dataset.
        fold: of a cross-validation.
        share: of the training pictures.

    Raises:
        SettingError: the dataset has no folds nor shares.
    """
    if fold is None and share is None:
        return
    if not data.takes_parts:
        what = f"fold is {fold}" if fold else f"val is {share}"
        kind = type(data).__name__
        raise SettingError(f"data.{what}, but data.datasets.{name}, a {kind}, has no folds nor shares.")
    data.fold, data.share = fold or data.fold, share or data.share
