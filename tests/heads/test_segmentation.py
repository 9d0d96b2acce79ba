"""The segmentation head: what it learns from, predicts and draws."""

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import GOLDEN, golden_json, normal
from safetensors.torch import load_file

from sapiens2_lit.datamodules import SegmentationDataModule
from sapiens2_lit.decoders import DeconvDecoder
from sapiens2_lit.errors import SettingError
from sapiens2_lit.heads import SegmentationHead
from sapiens2_lit.losses import CrossEntropy
from sapiens2_lit.vocabularies import load_classes

SIZE = (64, 48)


def batch(count: int = 2) -> dict:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 29, (count, *SIZE), generator=generator)
    labels[:, :4] = 255
    return {"image": torch.zeros(count, 3, *SIZE, dtype=torch.uint8), "segmentation": labels}


def perfect(labels: torch.Tensor) -> torch.Tensor:
    """The logits that the labels ask for."""
    return 50 * torch.nn.functional.one_hot(labels.clamp(max=28), 29).permute(0, 3, 1, 2).float()


@pytest.mark.parametrize("decoder", ["deconv", "pixel_shuffle"])
def test_logits_have_the_size_of_the_input(decoder: str) -> None:
    assert SegmentationHead(32, decoder=decoder)([torch.randn(2, 32, 4, 3)]).shape == (2, 29, *SIZE)


def test_outputs_equal_the_released_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    small = DeconvDecoder(
        48, (32, 24, 16, 16), (16, 16), 29, "conv_seg"
    )  # not the channels of any released size
    monkeypatch.setattr("sapiens2_lit.heads.segmentation.build_decoder", lambda *_: small)
    head = SegmentationHead(48)

    released = golden_json("state_dict_heads.json")["seg"]
    head.load_state_dict({name: 0.1 * normal(name, tuple(shape)) for name, shape in released.items()})
    with torch.no_grad():
        found = head([normal("features", (1, 48, 16, 12))])
    golden = load_file(GOLDEN / "heads.safetensors")["seg"]
    torch.testing.assert_close(found[..., ::4, ::4], golden, rtol=0, atol=1e-5)


def test_parameters_carry_the_released_names_alone() -> None:
    names = set(SegmentationHead(1024).state_dict())
    assert {"deconv_layers.9.weight", "conv_layers.3.bias", "conv_seg.weight"} <= names
    assert all(name.split(".")[0] in ("deconv_layers", "conv_layers", "conv_seg") for name in names)


def test_perfect_logits_have_no_loss_and_full_scores() -> None:
    head, labels = SegmentationHead(32), batch()
    outputs = perfect(labels["segmentation"])
    terms = head.loss(outputs, labels)
    assert set(terms) == {"cross_entropy", "dice"}
    assert sum(terms.values()).item() < 1e-5
    metrics = head.metrics()
    head.update(metrics, outputs, labels)
    scores = metrics.compute()
    assert scores[head.monitor[0]] == 1
    assert all(value == 1 for value in scores.values())
    counted = labels["segmentation"] != 255
    predicted = head.predict(outputs, labels)["segmentation"]
    assert predicted.dtype == torch.uint8
    assert (predicted[counted] == labels["segmentation"][counted]).all()


def test_a_whole_batch_of_ignored_pixels_has_no_loss_and_finite_gradients() -> None:
    head, labels = SegmentationHead(32), batch()
    labels["segmentation"].fill_(255)
    loss = sum(head.loss(head([torch.randn(2, 32, 4, 3)]), labels).values())
    loss.backward()
    assert loss.item() == 0
    assert all(parameter.grad.isfinite().all() for parameter in head.parameters())


def test_logits_of_a_mirrored_image_come_back_mirrored() -> None:
    head, labels = SegmentationHead(32), batch()["segmentation"]
    swap = torch.from_numpy(head.classes.swap_table()).long()
    torch.testing.assert_close(head.unflip(perfect(swap[labels].flip(-1))), perfect(labels))


def test_labels_of_another_size_than_the_logits_are_met() -> None:
    """As with the 4K backbone, whose feature maps are a quarter as fine."""
    head, labels = SegmentationHead(32), batch()
    coarse = torch.randn(2, 29, 32, 24)
    assert head.predict(coarse, labels)["segmentation"].shape == (2, *SIZE)
    assert all(value.isfinite() for value in head.loss(coarse, labels).values())


def test_samples_of_another_process_are_not_counted() -> None:
    head, labels = SegmentationHead(32), batch()
    outputs = torch.randn(2, 29, *SIZE)
    shared, alone = head.metrics(), head.metrics()
    head.update(shared, outputs, {**labels, "evaluated": torch.tensor([False, True])})
    head.update(alone, outputs[1:], {key: value[1:] for key, value in labels.items()})
    assert shared.compute() == alone.compute()


def test_losses_and_weights_are_settings() -> None:
    labels = batch()
    outputs = torch.randn(2, 29, *SIZE)
    own = SegmentationHead(32, loss={"plain": CrossEntropy()})
    none = SegmentationHead(32, class_weights="none")
    assert set(own.loss(outputs, labels)) == {"plain"}
    torch.testing.assert_close(
        own.loss(outputs, labels)["plain"], none.loss(outputs, labels)["cross_entropy"]
    )
    with pytest.raises(SettingError, match="`class_weights` has no effect beside `loss`"):
        SegmentationHead(32, loss={"plain": CrossEntropy()}, class_weights="none")
    with pytest.raises(SettingError, match="has 3 entries, expected 29"):
        SegmentationHead(32, class_weights=[1, 2, 3])


def test_data_of_other_classes_is_refused_before_training(tmp_path: Path) -> None:
    (tmp_path / "two.yaml").write_text("classes: [background, person]")
    data = SegmentationDataModule(str(tmp_path), classes=str(tmp_path / "two.yaml"))
    with pytest.raises(SettingError, match=r"labels have two \(2 classes\), the head predicts body29 \(29\)"):
        SegmentationHead(32).metrics(data, "validate")


def test_drawing_shows_the_classes() -> None:
    head, labels = SegmentationHead(32, opacity=1.0), batch(1)["segmentation"][0]
    drawn = head.draw(np.full((*SIZE, 3), 100, np.uint8), {"segmentation": labels})
    palette = load_classes("body29").palette()
    person = (labels != 255) & (labels != 0)
    assert (drawn[person.numpy()] == palette[labels[person].numpy()]).all()
    assert (drawn[(labels == 0).numpy()] == 100).all(), "the background keeps its colors"
