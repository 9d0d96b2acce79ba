"""What is done to pixels on the device is what the loader does: step by step, and as a distribution."""

import cv2
import numpy as np
import pytest
import torch

from sapiens2_lit.errors import SettingError
from sapiens2_lit.transforms import DenseAugmentation, PhotometricAugmentation, PoseAugmentation
from sapiens2_lit.transforms.device import augment_batch, device_steps
from sapiens2_lit.transforms.segmentation import SegmentationAugmentation

OFF = {"photometric": 0, "blur": 0, "median_blur": 0, "dropout": 0}
SAMPLES = 300
ROUNDING = 1.5  # grey levels


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    """Soft patches of all colors, 40 x 32."""
    patches = np.random.default_rng(0).integers(30, 226, (5, 4, 3), dtype=np.uint8)
    return cv2.resize(patches, (32, 40), interpolation=cv2.INTER_CUBIC)


def in_loader(augment: PhotometricAugmentation, image: np.ndarray, seeds: range) -> np.ndarray:
    pixels = augment.build_pixels()
    return np.stack([pixels(image, np.random.default_rng(seed)) for seed in seeds])


def on_device(augment: PhotometricAugmentation, image: np.ndarray, seeds: range) -> np.ndarray:
    batch = torch.from_numpy(image.transpose(2, 0, 1).copy()).expand(len(seeds), -1, -1, -1)
    varied = augment_batch(batch, torch.tensor(list(seeds)), device_steps(augment.pixel_steps()))
    assert varied.dtype == torch.uint8
    assert varied.shape == batch.shape
    return varied.permute(0, 2, 3, 1).numpy()


def statistics(images: np.ndarray) -> dict[str, np.ndarray]:
    """(N,) of each image: brightness, spread, saturation, tint, edges."""
    values = images.astype(float)
    return {
        "brightness": values.mean(axis=(1, 2, 3)),
        "spread": values.std(axis=(1, 2, 3)),
        "saturation": (values.max(axis=3) - values.min(axis=3)).mean(axis=(1, 2)),
        "tint": (values[..., 0] - values[..., 1])[:, :8, :8].mean(axis=(1, 2)),  # of one patch
        "edges": np.abs(np.diff(values, axis=2)).mean(axis=(1, 2, 3)),
    }


def assert_same_distribution(loader: np.ndarray, device: np.ndarray) -> None:
    """The two distribution functions agree within chance, values within a rounding.

    Of equal distributions one in a thousand differs by `chance` somewhere (Kolmogorov and Smirnov). The loader cuts
    fractions of grey levels in two steps and knows 180 hues, which makes it about a grey level darker: `ROUNDING`.
    """
    chance = 1.95 * np.sqrt(2 / len(loader))
    theirs = statistics(device)
    for name, ours in statistics(loader).items():
        at = np.concatenate([ours, theirs[name]])
        above, below = share(theirs[name], at + ROUNDING), share(theirs[name], at - ROUNDING)
        assert (share(ours, at) <= above + chance).all(), f"{name}: the device's values are larger"
        assert (share(ours, at) >= below - chance).all(), f"{name}: the device's values are smaller"


def share(values: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Share of the values that are not larger."""
    return np.searchsorted(np.sort(values), at, side="right") / len(values)


@pytest.mark.slow
@pytest.mark.parametrize(
    "augment",
    [
        PhotometricAugmentation(photometric=1, blur=0, median_blur=0, dropout=0),
        SegmentationAugmentation(blur=0.5, noise=0.5, noise_variance=(50, 400)),
        DenseAugmentation(**OFF, noise=0, resample=1, solarize=0.5),
        PoseAugmentation(),
    ],
    ids=["colors", "segmentation", "dense", "pose"],
)
def test_the_distribution_is_that_of_the_loader(augment, image):
    loader = in_loader(augment, image, range(SAMPLES))
    assert_same_distribution(loader, on_device(augment, image, range(10_000, 10_000 + SAMPLES)))


@pytest.mark.slow
@pytest.mark.parametrize("strength", ["brightness", "contrast", "saturation", "hue"])
def test_another_strength_would_be_told_apart(strength, image):
    """So the comparison above means something: a range twice as wide fails it."""
    settings = {"brightness": 0.2, "contrast": 0.3, "saturation": 0.3, "hue": 0.05}
    weak = PhotometricAugmentation(photometric=1, blur=0, median_blur=0, dropout=0, **settings)
    settings[strength] *= 2
    strong = PhotometricAugmentation(photometric=1, blur=0, median_blur=0, dropout=0, **settings)
    with pytest.raises(AssertionError, match="the device's values are"):
        assert_same_distribution(
            in_loader(weak, image, range(SAMPLES)), on_device(strong, image, range(SAMPLES))
        )


@pytest.mark.parametrize("part", [0.15, 0.5, 0.7])
def test_steps_without_choice_give_the_same_pixels(part, image):
    """Low resolution and solarisation, within a rounding of each of their two resizes."""
    augment = DenseAugmentation(**OFF, noise=0, resample=1, resample_size=(part, part), solarize=1)
    found, expected = (make(augment, image, range(1))[0].astype(int) for make in (on_device, in_loader))
    near_the_edge = np.abs(np.minimum(found, expected) - 126) < 4  # 128 is inverted, 127 is not
    assert np.abs(found - expected)[~near_the_edge].max() <= 2


@pytest.mark.parametrize("name", ["blur", "median_blur"])
def test_blurs_are_one_of_opencvs(name, image):
    augment = PhotometricAugmentation(**(OFF | {name: 1}))
    blur = {
        "blur": lambda side: cv2.blur(image, (side, side)),
        "median_blur": lambda side: cv2.medianBlur(image, side),
    }
    expected = [blur[name](side).astype(int) for side in (3, 5, 7)]
    chosen = set()
    for varied in on_device(augment, image, range(12)):
        differences = [np.abs(varied - one).max() for one in expected]
        assert min(differences) <= 1
        chosen.add(int(np.argmin(differences)))
    assert chosen == {0, 1, 2}


def test_one_black_rectangle_is_dropped(image):
    augment = PhotometricAugmentation(**(OFF | {"dropout": 1}))
    for varied in on_device(augment, image, range(10)):
        changed = (varied != image).any(axis=2)
        rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
        hole = varied[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        assert (hole == 0).all()
        assert 0.2 * 40 - 1 <= len(rows) <= 0.4 * 40
        assert 0.2 * 32 - 1 <= len(columns) <= 0.4 * 32


def test_a_sample_depends_on_its_seed_alone(image):
    """Not on the samples beside it; and samples of one batch differ."""
    augment = SegmentationAugmentation(photometric=1, noise=1)
    together = on_device(augment, image, range(4))
    for seed in range(4):
        np.testing.assert_array_equal(on_device(augment, image, range(seed, seed + 1))[0], together[seed])
    assert len({varied.tobytes() for varied in together}) == 4


def test_the_loader_does_nothing_of_it(image):
    for augmentation in (SegmentationAugmentation, DenseAugmentation, PoseAugmentation):
        pixels = augmentation(on_device=True).build_pixels()
        np.testing.assert_array_equal(pixels(image, np.random.default_rng(0)), image)


def test_everything_off_changes_nothing(image):
    augment = SegmentationAugmentation(**OFF, noise=0, on_device=True)
    np.testing.assert_array_equal(on_device(augment, image, range(2)), np.stack([image, image]))


def test_a_step_without_an_equal_is_named():
    def sharpen(pixels, rng):
        return pixels

    with pytest.raises(SettingError, match=r"augment.on_device: function can only run in the loader"):
        device_steps((sharpen,))


def test_colors_on_a_gpu_are_those_on_a_cpu(image):
    if not torch.cuda.is_available():
        pytest.skip("needs CUDA")
    augment = PhotometricAugmentation(photometric=1, dropout=0)
    batch = torch.from_numpy(image.transpose(2, 0, 1).copy()).expand(8, -1, -1, -1)
    seeds, steps = torch.arange(8), device_steps(augment.pixel_steps())
    there = augment_batch(batch.cuda(), seeds, steps).cpu()
    assert (there.int() - augment_batch(batch, seeds, steps).int()).abs().max() <= 3
