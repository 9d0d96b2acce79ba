"""What decoders promise: shapes, names, channels, fresh values, precision."""

import itertools
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from sapiens2_lit.decoders import (
    DecoderChannels,
    DeconvDecoder,
    PixelShuffleDecoder,
    build_decoder,
    decoder_preset,
)
from sapiens2_lit.errors import SettingError

TASKS = ("pose", "seg", "normal", "pointmap", "albedo", "depth", "matting")
KINDS = ("deconv", "pixel_shuffle")


@pytest.mark.parametrize(("task", "kind"), list(itertools.product(TASKS, KINDS)))
def test_every_task_has_both_kinds_at_its_own_stride(task: str, kind: str) -> None:
    decoder = build_decoder(task, 32, 5, kind)
    stride = 4 if task == "pose" else 16
    assert decoder.stride == stride
    assert decoder(torch.randn(2, 32, 2, 3)).shape == (2, 5, 2 * stride, 3 * stride)
    *_, last = decoder.named_children()
    assert last[0] == f"conv_{task}"
    assert all(parameter.shape[0] <= 4 * 32 for parameter in decoder.parameters())


@pytest.mark.parametrize("kind", KINDS)
def test_stages_one_after_another_are_the_decoder(kind: str) -> None:
    """Heads take the stages over as their own children, so that names are the released ones."""
    decoder = build_decoder("seg", 32, 4, kind)
    features = torch.randn(1, 32, 3, 2)
    x = features
    for _, stage in decoder.named_children():
        x = stage(x)
    assert torch.equal(x, decoder(features))


@pytest.mark.parametrize(
    ("task", "kind", "width", "expected"),
    [
        ("pose", "deconv", 768, DecoderChannels((1024, 768), (512, 512, 256))),
        ("pose", "deconv", 1536, DecoderChannels((1536, 1024), (768, 512, 256))),
        ("pose", "deconv", 2432, DecoderChannels((1024, 768), (512, 512, 256))),
        ("seg", "deconv", 1280, DecoderChannels((512, 256, 128, 64), (64, 64))),
        ("normal", "pixel_shuffle", 1536, DecoderChannels((768, 512, 256, 128), (64, 32, 16))),
        ("normal", "pixel_shuffle", 2432, DecoderChannels((1536, 768, 512, 256), (128, 64, 32))),
        ("pointmap", "pixel_shuffle", 1024, DecoderChannels((1536, 768, 512, 256), (64, 32, 16))),
        ("pointmap", "pixel_shuffle", 2432, DecoderChannels((1536, 768, 768, 768), (128, 64, 32))),
        ("albedo", "pixel_shuffle", 2432, DecoderChannels((1536, 768, 512, 256), (64, 32, 16))),
    ],
)
def test_released_widths_have_the_released_channels(
    task: str, kind: str, width: int, expected: DecoderChannels
) -> None:
    assert decoder_preset(task, width, kind) == expected


@pytest.mark.parametrize(("task", "kind"), list(itertools.product(TASKS, KINDS)))
def test_narrow_backbones_have_narrow_decoders(task: str, kind: str) -> None:
    for width in (32, 192, 384, 760):
        channels = decoder_preset(task, width, kind)
        assert max(channels.upsample + channels.conv) <= width
        assert min(channels.upsample + channels.conv) >= 8
        assert list(channels.upsample) == sorted(channels.upsample, reverse=True)


@pytest.mark.parametrize(("task", "kind"), list(itertools.product(TASKS[1:], KINDS)))
def test_light_decoders_of_dense_tasks_end_wide_enough_for_what_they_predict(task: str, kind: str) -> None:
    """Eight channels, a released row in proportion, cannot tell 29 classes; full-size convolutions take most time."""
    for width in (32, 128, 192):
        channels = decoder_preset(task, width, kind)
        assert channels.upsample[-1] >= (29 if task == "seg" else 16)
        assert not channels.conv


def test_unknown_names_are_refused_with_the_known() -> None:
    with pytest.raises(SettingError, match=r"'gaze'.*pose.*matting"):
        decoder_preset("gaze", 768, "deconv")
    with pytest.raises(SettingError, match=r"'unet'.*deconv, pixel_shuffle"):
        decoder_preset("pose", 768, "unet")  # type: ignore[arg-type]  # a user's mistake
    with pytest.raises(SettingError, match=r"'group'.*instance, rms"):
        PixelShuffleDecoder(8, (8,), (), 1, "conv_x", norm="group")  # type: ignore[arg-type]
    for taken in ("conv_layers", "stride", "a.b", ""):
        with pytest.raises(SettingError, match="predictor"):
            DeconvDecoder(8, (8,), (), 1, taken)


@pytest.mark.parametrize("kind", KINDS)
def test_fresh_values_keep_the_variance_of_gradients(kind: str) -> None:
    torch.manual_seed(0)
    decoder = build_decoder("albedo", 256, 64, kind)
    for layer in decoder.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            out_channels = layer.weight.shape[0]  # of the weight's layout, which Kaiming's fan-out goes by
            fan_out = out_channels * layer.kernel_size[0] * layer.kernel_size[1]
            assert layer.weight.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.1)
            assert layer.bias is None or not layer.bias.any()
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.fill_(torch.nan)
    decoder.init_weights()
    assert all(parameter.isfinite().all() for parameter in decoder.parameters())


@pytest.mark.parametrize(("task", "kind"), list(itertools.product(("seg", "albedo"), KINDS)))
def test_bfloat16_autocast_stays_close_on_badly_scaled_features(task: str, kind: str) -> None:
    torch.manual_seed(0)
    decoder = build_decoder(task, 64, 3, kind)
    features = 300 + 5 * torch.randn(1, 64, 8, 6)  # a mean that half precision could not subtract in sums
    with torch.no_grad():
        exact = decoder(features)
        with torch.autocast("cpu", torch.bfloat16):
            found = decoder(features).float()
    assert found.isfinite().all()
    assert (found - exact).norm() < 0.03 * exact.norm()


@pytest.mark.skipif(not hasattr(torch.ops.aten, "_fused_rms_norm"), reason="this torch has no fused RMSNorm")
def test_rms_norm_keeps_no_float32_maps_under_autocast() -> None:
    """Else albedo and depth would take a third more memory than normals. On a GPU that need not exist."""
    kept: dict[str, set[torch.dtype]] = {"instance": set(), "rms": set()}

    def keep(norm: str, x: Tensor) -> Tensor:
        if x.numel() > 16 * 32 * 24:  # an upsampled map, neither features nor weights
            kept[norm].add(x.dtype)
        return x

    with FakeTensorMode(), torch.device("cuda"):
        torch.set_autocast_enabled("cuda", True)
        torch.set_autocast_dtype("cuda", torch.bfloat16)
        try:
            for norm in kept:
                decoder = PixelShuffleDecoder(16, (16, 8), (8,), 3, "conv_x", norm=norm)
                with torch.autograd.graph.saved_tensors_hooks(partial(keep, norm), lambda x: x):
                    decoder(torch.rand(1, 16, 32, 24, requires_grad=True))
        finally:
            torch.set_autocast_enabled("cuda", False)
            torch.clear_autocast_cache()
    assert kept == {"instance": {torch.bfloat16}, "rms": {torch.bfloat16}}
