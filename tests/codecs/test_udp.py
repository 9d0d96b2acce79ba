"""The UDP codec: golden numbers, round trips everywhere, and calm on maps without a peak."""

import pytest
import torch
from helpers import GOLDEN
from safetensors.torch import load_file

from sapiens2_lit.codecs import UDPHeatmapCodec
from sapiens2_lit.errors import SettingError

SMALL = UDPHeatmapCodec((256, 192), (64, 48), sigma=2.0)
# (input, heatmap, sigma): released size and smaller ones, down to maps smaller than the decoder's patch
SIZES = [
    ((1024, 768), (256, 192), 6.0),
    ((512, 384), (128, 96), 3.0),
    ((256, 192), (64, 48), 6.0),
    ((256, 192), (64, 48), 2.0),
    ((256, 192), (64, 48), 1.2),
    ((128, 96), (32, 24), 1.0),
    ((32, 24), (8, 6), 1.0),
]


@pytest.fixture(scope="module")
def golden():
    return load_file(GOLDEN / "pose_codec.safetensors")


@pytest.fixture(scope="module")
def golden_keypoints(golden):
    return torch.cat([golden["keypoints"], golden["visible"][:, None]], dim=1)[None]


def test_encode_is_golden(golden, golden_keypoints):
    heatmaps, weight = SMALL.encode(golden_keypoints)
    torch.testing.assert_close(heatmaps[0], golden["heatmaps"], atol=1e-6, rtol=0)
    assert torch.equal(weight[0], golden["weights"])


def test_decode_is_golden_in_the_interior(golden):
    """In heatmap pixels: the released rule multiplies them by W / (w - 1), ours by (W - 1) / (w - 1)."""
    released = golden["decoded"] * torch.tensor([47 / 192, 63 / 256])
    found = SMALL.decode(golden["noisy"][None])[0]
    ours = found[:, :2] * torch.tensor([47 / 191, 63 / 255])
    assert torch.equal(found[:, 2], golden["scores"])
    place = golden["noisy"].flatten(1).argmax(dim=1)
    x, y = place % 48, place // 48
    interior = (x >= 6) & (y >= 6) & (x <= 47 - 6) & (y <= 63 - 6)
    assert interior.sum() >= 10
    torch.testing.assert_close(ours[interior], released[interior], atol=1e-3, rtol=0)


def test_decode_beats_the_released_border(golden, golden_keypoints):
    """Next to the border the released blur averages zeros in: its error there is several times ours."""
    released = golden["decoded"] * torch.tensor([191 / 192, 255 / 256])
    ours = SMALL.decode(golden["noisy"][None])[0, :, :2]
    truth, labelled = golden["keypoints"], golden["weights"] > 0
    ours_error = (ours - truth)[labelled].norm(dim=1)
    released_error = (released - truth)[labelled].norm(dim=1)
    assert released_error.max() > 2 and ours_error.max() < 0.25


@pytest.mark.parametrize("input_size, heatmap_size, sigma", SIZES)
def test_round_trip_within_a_fiftieth_pixel_everywhere(input_size, heatmap_size, sigma):
    codec = UDPHeatmapCodec(input_size, heatmap_size, sigma)
    keypoints = everywhere(input_size)
    heatmaps, weight = codec.encode(keypoints)
    found = codec.decode(heatmaps)
    assert weight.all()
    assert (found[..., :2] - keypoints[..., :2]).abs().max() < 0.02
    assert torch.equal(found[..., 2], heatmaps.amax(dim=(2, 3)))


def test_round_trip_beyond_the_border():
    """Up to a sigma outside, the part of the Gaussian that is on the map tells where its centre is."""
    codec = UDPHeatmapCodec((256, 192), (64, 48), 2.0)
    keypoints = torch.tensor([[[-7.0, 100.0, 1], [197.0, 30.5, 1], [90.3, 262.0, 1], [-5.0, -6.0, 1]]])
    heatmaps, weight = codec.encode(keypoints)
    assert weight.all()
    assert (codec.decode(heatmaps)[..., :2] - keypoints[..., :2]).abs().max() < 0.05


@pytest.mark.parametrize("dtype, tolerance", [(torch.bfloat16, 0.15), (torch.float16, 0.02)])
def test_half_precision_heatmaps(dtype, tolerance):
    codec = UDPHeatmapCodec((256, 192), (64, 48), 6.0)
    keypoints = everywhere((256, 192))
    found = codec.decode(codec.encode(keypoints)[0].to(dtype))
    assert found.dtype == torch.float32
    assert (found[..., :2] - keypoints[..., :2]).abs().max() < tolerance


@pytest.mark.parametrize("place", ["interior", "edge", "corner"])
@pytest.mark.parametrize("sigma", [6.0, 2.0])
def test_noise_moves_the_estimate_little(place, sigma):
    """Border estimates may be a few times as uncertain as interior ones, not of another order."""
    generator = torch.Generator().manual_seed(3)
    codec = UDPHeatmapCodec((256, 192), (64, 48), sigma)
    offset = torch.rand(1, 200, 2, generator=generator) * 6
    start = {"interior": (93.0, 125.0), "edge": (0.0, 125.0), "corner": (0.0, 0.0)}[place]
    keypoints = torch.cat([offset + torch.tensor(start), torch.ones(1, 200, 1)], dim=2)
    heatmaps, _ = codec.encode(keypoints)
    heatmaps = 0.9 * heatmaps + 0.02 * torch.randn(heatmaps.shape, generator=generator).abs()
    error = (codec.decode(heatmaps)[..., :2] - keypoints[..., :2]).norm(dim=2)
    limit = {"interior": 0.25, "edge": 0.3, "corner": 0.5}[place]
    assert error.square().mean().sqrt() < limit


@pytest.mark.parametrize("size", [(64, 48), (8, 6)])
def test_maps_without_a_peak_stay_near_their_largest_pixel(size):
    codec = UDPHeatmapCodec((size[0] * 4, size[1] * 4), size, 2.0)
    generator = torch.Generator().manual_seed(5)
    noise = torch.randn(1, 40, *size, generator=generator)
    single = torch.zeros(1, 1, *size)
    single[0, 0, 3, 2] = 1
    maps = torch.cat(
        [noise, noise.abs(), noise * 1e-20, noise * 1e20, single, single * 0, single * 0 - 1], dim=1
    )
    maps = torch.cat([maps, torch.full((1, 2, *size), 0.7)], dim=1)
    found = codec.decode(maps)
    place = maps.flatten(2).argmax(dim=2)
    largest = torch.stack([place % size[1], place // size[1]], dim=2)
    stride = torch.tensor([(size[1] * 4 - 1) / (size[1] - 1), (size[0] * 4 - 1) / (size[0] - 1)])
    assert found.isfinite().all()
    assert (found[..., :2] / stride - largest).abs().max() <= 6.01
    still = slice(160, 163)  # the single pixel, zeros and minus ones
    torch.testing.assert_close(found[0, still, :2] / stride, largest[0, still].float())


def test_nan_is_not_hidden():
    maps = torch.zeros(1, 1, 64, 48)
    maps[0, 0, 10, 10] = torch.nan
    assert SMALL.decode(maps)[..., 2].isnan().all()
    gx, _, _ = SMALL.encode_separable(torch.tensor([[[torch.nan, 3.0, 2.0]]]))
    assert gx.isnan().any()


def test_unlabelled_keypoints_have_no_target():
    keypoints = torch.tensor(
        [[[40.0, 40.0, 0], [torch.nan, torch.nan, 0], [-500.0, 40.0, 2], [40.0, 40.0, 1]]]
    )
    heatmaps, weight = SMALL.encode(keypoints)
    assert weight.tolist() == [[0, 0, 0, 1]]
    assert heatmaps.flatten(2).sum(dim=2).gt(0).tolist() == [[False, False, False, True]]


def test_separable_factors_make_the_map():
    keypoints = everywhere((256, 192))
    gx, gy, weight = SMALL.encode_separable(keypoints)
    heatmaps, same_weight = SMALL.encode(keypoints)
    assert gx.shape == (1, keypoints.shape[1], 48) and gy.shape == (1, keypoints.shape[1], 64)
    assert torch.equal(gy[..., :, None] * gx[..., None, :], heatmaps) and torch.equal(weight, same_weight)


def test_mirroring_commutes():
    """Decoding a mirrored map gives the mirrored keypoint: no side is preferred."""
    keypoints = everywhere((256, 192))
    heatmaps, _ = SMALL.encode(keypoints)
    heatmaps = 0.9 * heatmaps + 0.03 * torch.rand(heatmaps.shape, generator=torch.Generator().manual_seed(1))
    found, mirrored = SMALL.decode(heatmaps), SMALL.decode(heatmaps.flip(3))
    torch.testing.assert_close(191 - mirrored[..., 0], found[..., 0], atol=2e-2, rtol=0)
    torch.testing.assert_close(mirrored[..., 1:], found[..., 1:], atol=2e-2, rtol=0)


@pytest.mark.parametrize(
    "settings, word",
    [
        ({"input_size": (1, 192)}, "input_size"),
        ({"heatmap_size": (64, 48, 3)}, "heatmap_size"),
        ({"sigma": 0.0}, "sigma"),
        ({"blur_sigma": -1.0}, "blur_sigma"),
        ({"blur_kernel": 10}, "blur_kernel"),
    ],
)
def test_wrong_settings_are_named(settings, word):
    with pytest.raises(SettingError, match=word):
        UDPHeatmapCodec(**{"input_size": (256, 192), "heatmap_size": (64, 48), **settings})


def test_heatmaps_of_another_size_are_refused():
    with pytest.raises(SettingError, match=r"\(1, 2, 32, 48\).*64, 48"):
        SMALL.decode(torch.zeros(1, 2, 32, 48))


def everywhere(input_size: tuple[int, int]) -> torch.Tensor:
    """(1, 120, 3) labelled keypoints inside the input: corners, borders, next to them, and anywhere."""
    height, width = input_size
    generator = torch.Generator().manual_seed(0)
    places = torch.rand(120, 2, generator=generator)
    places[:4] = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    places[4:30, 0] = places[4:30, 0].round()
    places[30:50, 1] = places[30:50, 1].round()
    places[50:80] = 0.04 * places[50:80] + 0.96 * places[50:80].round()
    points = places * torch.tensor([width - 1.0, height - 1.0])
    return torch.cat([points, torch.ones(120, 1)], dim=1)[None]


def test_autocast_does_not_move_keypoints():
    """Validation decodes where the network ran in half precision; a product of matrices there costs pixels."""
    codec = UDPHeatmapCodec((1024, 768), (256, 192))
    keypoints = torch.rand(1, 40, 3) * torch.tensor([767.0, 1023.0, 2.0])
    heatmaps, _ = codec.encode(keypoints)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = codec.decode(heatmaps)
    torch.testing.assert_close(found, codec.decode(heatmaps), atol=0, rtol=0)
