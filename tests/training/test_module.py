"""The module: building, loading whole models, and stopping where it must."""

from functools import partial
from pathlib import Path

import lightning as L
import pytest
import torch
from safetensors.torch import save_file

from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.checkpoints import released_state
from sapiens2_lit.errors import SettingError, TrainingError, WeightsError
from sapiens2_lit.heads import PoseHead
from sapiens2_lit.training.module import SapiensModule
from sapiens2_lit.training.partial_labels import learning_heads


def make(skeleton: str = "coco17", **settings) -> SapiensModule:
    module = SapiensModule(
        partial(Sapiens2, "test"), {"pose": partial(PoseHead, skeleton=skeleton)}, **settings
    )
    module.configure_model()
    return module.eval()


@pytest.fixture
def task_file(tmp_path: Path) -> tuple[Path, SapiensModule]:
    """A released pose file, and the module whose weights it holds."""
    torch.manual_seed(1)
    module = make()
    path = tmp_path / "model.safetensors"
    save_file(released_state(module.state_dict(), "pose"), path)
    return path, module


def test_building_twice_changes_nothing() -> None:
    module = make()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    module.configure_model()
    torch.testing.assert_close(module.state_dict(), before, rtol=0, atol=0)


def test_checkpoint_names_are_backbone_and_heads() -> None:
    assert {name.split(".")[0] for name in make().state_dict()} == {"backbone", "heads"}
    assert any(name.startswith("heads.pose.conv_pose.") for name in make().state_dict())


def test_released_pose_file_loads_whole(task_file: tuple[Path, SapiensModule]) -> None:
    path, saved = task_file
    loaded = make(weights=str(path))
    torch.testing.assert_close(loaded.state_dict(), saved.state_dict(), rtol=0, atol=0)
    images = torch.randint(0, 256, (1, 3, 64, 48), dtype=torch.uint8)
    torch.testing.assert_close(loaded(images)["pose"], saved(images)["pose"], rtol=0, atol=0)


def test_head_of_another_shape_is_fresh_only_where_listed(task_file: tuple[Path, SapiensModule]) -> None:
    path, saved = task_file
    with pytest.raises(WeightsError, match="conv_pose"):
        make("coco_wholebody133", weights=str(path), reuse_rows=False)
    loaded = make("coco_wholebody133", weights=str(path), reinitialize=["heads.pose.conv_pose"])
    assert loaded.heads["pose"].conv_pose.out_channels == 133
    torch.testing.assert_close(loaded.backbone.state_dict(), saved.backbone.state_dict(), rtol=0, atol=0)
    before = saved.heads["pose"].deconv_layers.state_dict()
    torch.testing.assert_close(loaded.heads["pose"].deconv_layers.state_dict(), before, rtol=0, atol=0)


def test_reinitialize_without_weights_is_an_error() -> None:
    with pytest.raises(SettingError, match="reinitialize"):
        make(reinitialize=["heads.pose.conv_pose"])


def test_checkpoint_of_another_head_names_the_shapes() -> None:
    with pytest.raises(
        WeightsError, match=r"heads\.pose\.conv_pose\.bias: \(133,\) in the checkpoint, \(17,\) here"
    ):
        make().on_load_checkpoint({"state_dict": make("coco_wholebody133").state_dict()})


def test_flip_test_makes_predictions_equivariant() -> None:
    module = make()
    images = torch.randint(0, 256, (2, 3, 64, 48), dtype=torch.uint8)
    with torch.no_grad():
        straight = module.evaluate(images)["pose"]
        mirrored = module.evaluate(images.flip(-1))["pose"]
    torch.testing.assert_close(module.heads["pose"].unflip(mirrored), straight, atol=1e-5, rtol=0)


class OneBatch(torch.utils.data.Dataset):
    """Two people, one of which has a keypoint that is not a number."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> dict:
        keypoints = torch.full((17, 3), 5.0)
        if index == 1:
            keypoints[3, 0] = float("nan")
        affine, box = torch.eye(3)[:2], torch.tensor([0.0, 0.0, 48.0, 64.0])
        image = torch.zeros(3, 64, 48, dtype=torch.uint8)
        return {
            "image": image,
            "keypoints": keypoints,
            "affine": affine,
            "box": box,
            "sample": f"person-{index}.jpg",
        }


def test_loss_that_is_not_finite_stops_before_the_weights_and_names_the_samples() -> None:
    module = make()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    trainer = L.Trainer(
        max_steps=1, logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        accelerator="cpu",
    )  # fmt: skip
    with pytest.raises(TrainingError, match=r"person-1\.jpg"):
        trainer.fit(module, torch.utils.data.DataLoader(OneBatch(), batch_size=2))
    torch.testing.assert_close(module.state_dict(), before, rtol=0, atol=0)


def test_batch_that_no_head_can_learn_from_is_an_error() -> None:
    with pytest.raises(SettingError, match="keypoints"):
        learning_heads(make().named_heads(), {"image": torch.zeros(1)})
