"""What datamodules consist of."""

from sapiens2_lit.datamodules import MultitaskDataModule, SyntheticDataModule
from sapiens2_lit.datamodules.parts import datamodule_parts


def test_a_single_datamodule_is_its_only_part() -> None:
    data = SyntheticDataModule(image_size=(64, 48))
    assert datamodule_parts(data) == {"": data}


def test_datasets_of_several_keep_their_names_and_order() -> None:
    several = {name: SyntheticDataModule(image_size=(64, 48)) for name in ("second", "first")}
    parts = datamodule_parts(MultitaskDataModule(several, image_size=(64, 48)))
    assert list(parts.items()) == list(several.items())
    parts.clear()
    assert list(several) == ["second", "first"]
