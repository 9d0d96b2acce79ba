"""Augmentation for pose: random crops and pixels in one flat group of settings."""

from dataclasses import dataclass

from sapiens2_lit.transforms.crop import CropAugmentation
from sapiens2_lit.transforms.photometric import PhotometricAugmentation


@dataclass(frozen=True)
class PoseAugmentation(CropAugmentation, PhotometricAugmentation):
    """All random variation of a pose training sample.

    Set each value by itself, as in `--data.augment.rotation 40` or `--data.augment.flip 0`; `--data.augment null`
    switches all of it off. The probabilities, `shift`, `scale`, `rotation` and `dropout_size` are the recipe
    of the released Sapiens2 pose models; it does not give the strength of the colors, and all ranges are
    drawn uniformly here.

    Attributes:
        flip: probability of a mirror image, left and right keypoints swapped.
        half_body: probability of a crop around the upper or lower half of the body.
        shift: largest shift of the crop, as a fraction of the box, in x and in y.
        shift_probability: probability of a shift.
        scale: smallest and largest factor on the crop's sides, drawn uniformly; above 1 the person becomes smaller.
        rotation: largest rotation in degrees, either way, drawn uniformly.
        rotation_probability: probability of a rotation.
        photometric: probability that colors change at all.
        brightness: largest relative change of brightness, either way.
        contrast: largest relative change of contrast, either way.
        saturation: largest relative change of saturation, either way.
        hue: largest turn of the hue, either way, as a fraction of the color circle.
        blur: probability of a box blur of 3 to 7 pixels.
        median_blur: probability of a median blur of 3 to 7 pixels.
        dropout: probability of one rectangle painted black; keypoints under it stay labeled.
        dropout_size: smallest and largest side of that rectangle, as a fraction of the image's side.
        on_device: whether pixels are varied on the training device instead of in the loader.
    """

    def __post_init__(self) -> None:
        CropAugmentation.__post_init__(self)
        PhotometricAugmentation.__post_init__(self)


RELEASED = PoseAugmentation()
