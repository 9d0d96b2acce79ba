"""Losses against numpy, and against lightly's where that is installed (the extra `oracles`)."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sapiens2_lit.errors import SettingError
from sapiens2_lit.training.pretraining.decoder import MAEDecoder, positions
from sapiens2_lit.training.pretraining.losses import (
    anchor_losses,
    contrast_loss,
    distillation_loss,
    koleo_loss,
)
from sapiens2_lit.training.pretraining.settings import Reconstruction
from sapiens2_lit.training.pretraining.targets import (
    patchify,
    reconstructed,
    reconstruction_loss,
    unpatchify,
)
from sapiens2_lit.training.pretraining.teacher import Center


@pytest.fixture
def random() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_mae_loss_is_numpys(random: torch.Generator) -> None:
    images, masked = torch.randn(2, 3, 32, 48, generator=random), torch.tensor([[0, 3, 5], [1, 2, 4]])
    predicted = torch.randn(2, 6, 768, generator=random)
    losses = []
    for image, guesses, index in zip(images.numpy(), predicted.numpy(), masked.tolist(), strict=True):
        for patch in index:
            row, column = divmod(patch, 3)
            pixels = image[:, 16 * row : 16 * row + 16, 16 * column : 16 * column + 16]
            target = pixels.transpose(1, 2, 0).ravel().astype(np.float64)
            target = (target - target.mean()) / np.sqrt(target.var(ddof=1) + 1e-6)
            losses.append(((guesses[patch] - target) ** 2).mean())
    found = reconstruction_loss(predicted, images, masked, 16, normalize=True)
    assert float(found) == pytest.approx(np.mean(losses), rel=1e-6)


def test_patches_round_trip_and_true_predictions_are_the_image(random: torch.Generator) -> None:
    images = torch.randn(2, 3, 32, 48, generator=random)
    assert torch.equal(unpatchify(patchify(images, 16), (2, 3), 16), images)
    patches = patchify(images, 16)
    true = (patches - patches.mean(-1, keepdim=True)) / patches.std(-1, keepdim=True)
    filled = reconstructed(true, images, torch.tensor([[0, 4], [1, 5]]), 16, normalize=True)
    torch.testing.assert_close(filled, images, rtol=1e-4, atol=1e-4)


def test_anchor_is_zero_at_the_start_and_knows_no_scale(random: torch.Generator) -> None:
    features = torch.randn(2, 5, 8, generator=random)
    for one in anchor_losses(3 * features, features):
        assert float(one) == pytest.approx(0, abs=1e-6)
    distance, gram = anchor_losses(-features, features)
    assert float(distance) == pytest.approx(2, abs=1e-5)
    assert float(gram) == pytest.approx(0, abs=1e-6), "a Gram matrix knows no sign"


def test_koleo_of_one_image_is_an_error() -> None:
    with pytest.raises(SettingError, match="batch_size of 2 or more"):
        koleo_loss(torch.ones(1, 4))


def teacher(logits: Tensor, temperature: float) -> Tensor:
    return (logits / temperature).softmax(dim=-1)


@pytest.fixture(scope="module")
def lightly() -> Any:
    pytest.importorskip("lightly", reason="lightly is not installed: pip install 'sapiens2-lit[oracles]'")
    from lightly.loss import DINOLoss, KoLeoLoss, NTXentLoss
    from lightly.models.modules import MAEDecoderTIMM

    return SimpleNamespace(
        DINOLoss=DINOLoss, KoLeoLoss=KoLeoLoss, NTXentLoss=NTXentLoss, Decoder=MAEDecoderTIMM
    )


def test_dino_is_lightlys(lightly: Any, random: torch.Generator) -> None:
    student, answers = torch.randn(3, 6, 10, generator=random), torch.randn(3, 2, 10, generator=random)
    oracle = lightly.DINOLoss(output_dim=10, student_temp=0.1, center_momentum=0.9)
    center = Center(10, 0.9)
    for _ in range(2):  # the second time with a center
        expected = oracle(list(answers.unbind(1)), list(student.unbind(1)), teacher_temp=0.07)
        found = distillation_loss(student, center.probabilities(answers, 0.07), 2, 0.1)
        assert float(found) == pytest.approx(float(expected), rel=1e-6)
        center.add(answers)
        center.step()
        oracle_center = oracle.center.value if hasattr(oracle.center, "value") else oracle.center
        torch.testing.assert_close(center.value, oracle_center.flatten(), rtol=1e-6, atol=1e-7)


def test_koleo_is_lightlys(lightly: Any, random: torch.Generator) -> None:
    tokens = torch.randn(7, 16, generator=random)
    assert float(koleo_loss(tokens)) == pytest.approx(float(lightly.KoLeoLoss()(tokens)), rel=1e-6)


def test_infonce_is_lightlys(lightly: Any, random: torch.Generator) -> None:
    vectors = torch.nn.functional.normalize(torch.randn(5, 2, 16, generator=random), dim=-1)
    expected = lightly.NTXentLoss(temperature=0.1)(vectors[:, 0], vectors[:, 1])
    assert float(contrast_loss(vectors, 0.1)) == pytest.approx(float(expected), rel=1e-6)


@torch.no_grad()
def test_the_decoder_is_lightlys_with_equal_weights(lightly: Any, random: torch.Generator) -> None:
    torch.manual_seed(0)
    grid, prefix = (4, 4), 9
    backbone: Any = SimpleNamespace(embed_dim=48, patch_size=16, prefix_tokens=prefix)
    own = MAEDecoder(backbone, Reconstruction(depth=2, width=64, heads=4))
    oracle = lightly.Decoder(
        num_patches=16,
        patch_size=16,
        embed_dim=48,
        decoder_embed_dim=64,
        decoder_depth=2,
        decoder_num_heads=4,
    )
    names = {
        "embed": "decoder_embed", "norm": "decoder_norm", "predict": "decoder_pred", "mask_token": "mask_token",
        "fc1": "mlp.fc1", "fc2": "mlp.fc2", "qkv": "attn.qkv", "proj": "attn.proj", "blocks": "decoder_blocks",
    }  # fmt: skip
    for parameter in own.parameters():
        parameter.copy_(0.3 * torch.randn(parameter.shape, generator=random))
    state = {
        ".".join(names.get(part, part) for part in name.split(".")): value
        for name, value in own.state_dict().items()
    }
    state["decoder_pos_embed"] = oracle.decoder_pos_embed
    oracle.load_state_dict(state)
    torch.testing.assert_close(
        positions(grid, 64, torch.device("cpu")), oracle.decoder_pos_embed, rtol=0, atol=1e-6
    )
    tokens = torch.randn(2, prefix + 4, 48, generator=random)
    visible = torch.tensor([[0, 5, 9, 15], [3, 2, 8, 1]])
    found = own(tokens, visible, grid)
    embedded = oracle.embed(torch.cat([tokens[:, :1], tokens[:, prefix:]], dim=1))
    whole = oracle.mask_token.expand(2, 17, -1).clone()
    index = torch.cat([torch.zeros(2, 1, dtype=torch.int64), visible + 1], dim=1)
    whole = whole.scatter(1, index[..., None].expand(-1, -1, 64), embedded)
    expected = oracle.predict(oracle.decode(whole))[:, 1:]
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
