"""Settings of the pose data: from the command line and from YAML, impossible ones named."""

import pytest
from lightning.pytorch.cli import LightningArgumentParser

from sapiens2_lit.datamodules import PoseDataModule, PoseSource
from sapiens2_lit.errors import SettingError
from sapiens2_lit.transforms import PoseAugmentation


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], PoseAugmentation()),
        (["--data.augment.rotation", "40"], PoseAugmentation(rotation=40)),
        (["--data.augment.flip", "0"], PoseAugmentation(flip=0)),
        (["--data.augment.scale", "[0.8, 1.2]"], PoseAugmentation(scale=(0.8, 1.2))),
        (["--data.augment", "null"], None),
    ],
)
def test_augmentation_is_set_from_the_command_line(arguments, expected):
    parser = LightningArgumentParser()
    parser.add_lightning_class_args(PoseDataModule, "data", subclass_mode=True)
    common = ["--data", "sapiens2_lit.datamodules.PoseDataModule", "--data.root", "x"]
    settings = parser.instantiate(parser.parse_args(common + arguments))
    assert settings.data.augment == expected


def test_sources_are_set_from_yaml(tmp_path):
    parser = LightningArgumentParser()
    parser.add_lightning_class_args(PoseDataModule, "data", subclass_mode=True)
    sources = '[{"root": "a", "weight": 0.5}, {"root": "b", "annotations": "c.json"}]'
    common = ["--data", "sapiens2_lit.datamodules.PoseDataModule", "--data.root", "x"]
    data = parser.instantiate(parser.parse_args([*common, "--data.sources", sources])).data
    assert data.sources == [PoseSource("a", weight=0.5), PoseSource("b", "c.json")]
    assert data.weights == [1.0, 0.5, 1.0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": 0}, "data.batch_size is 0"),
        ({"seed": -1}, "data.seed is -1, expected 0 or more"),
        ({"image_size": (0, 5)}, "data.image_size is"),
        ({"padding": 0}, "data.padding is 0"),
        ({"skeleton": "horse"}, "skeleton 'horse' is unknown"),
    ],
)
def test_impossible_settings_name_the_field(tmp_path, settings, message):
    with pytest.raises(SettingError, match=message):
        PoseDataModule(str(tmp_path), **settings)
