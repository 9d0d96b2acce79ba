"""Light by second-order spherical harmonics and distant lamps, and the sRGB curve."""

from dataclasses import dataclass

import numpy as np

from sapiens2_lit.synthetic.body.parts import Array

DARKEST = 0.02  # least reflection of ambient light


@dataclass(frozen=True)
class Light:
    """The light that a white matte surface reflects by its normal, in the world's frame.

    Attributes:
        ambient: (9, 3) linear RGB of the functions 1, x, y, z, xy, yz, 3z² - 1, xz, x² - y² of the normal.
        directions: (L, 3) unit vectors to the lamps.
        colors: (L, 3) linear RGB of the lamps.
    """

    ambient: Array
    directions: Array
    colors: Array

    def shading(self, normals: Array) -> Array:
        """Return linear RGB (N, 3) at unit normals (N, 3) in the world's frame."""
        x, y, z = normals.T
        basis = np.stack(
            [np.ones(len(x)), x, y, z, x * y, y * z, 3 * z * z - 1, x * z, x * x - y * y], axis=1
        )
        lamps = np.maximum(normals @ self.directions.T, 0) @ self.colors
        return np.maximum(basis @ self.ambient, DARKEST) + lamps


def sample_light(rng: np.random.Generator) -> Light:
    """Return a random light of daylight, rooms or studios: mostly from above and the front, in warm and cold tints."""
    count = int(rng.choice([1, 2], p=[0.6, 0.4]))
    azimuth, height = rng.uniform(-np.pi * 0.8, np.pi * 0.8, count), rng.uniform(0.1, 1.3, count)
    directions = np.stack(
        [np.sin(azimuth) * np.cos(height), np.sin(height), np.cos(azimuth) * np.cos(height)], axis=1
    )
    tint = 1 + rng.normal(0, 0.08, (count + 1, 1)) * np.array([1.0, 0.0, -1.0])
    direct = rng.uniform(0.25, 0.75)  # the lamps' share of all light
    total = rng.uniform(0.8, 1.15)
    power = rng.dirichlet(np.full(count, 3.0)) * direct * total
    ambient = rng.normal(0, 0.035, (9, 3)) * rng.uniform(0.3, 1.0, (9, 1))
    ambient[0] = (1 - direct) * total
    ambient[2] += 0.25 * (1 - direct) * total  # the sky or a ceiling is brighter than the ground
    ambient[3] += 0.15 * (1 - direct) * total
    return Light(ambient * tint[-1], directions, power[:, None] * tint[:count])


def to_linear(srgb: Array) -> Array:
    """Convert sRGB values of any shape to linear light, both 0..1 (IEC 61966-2-1)."""
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def to_srgb(linear: Array) -> Array:
    """Convert linear light of any shape to sRGB values in 0..1, clipped (IEC 61966-2-1)."""
    light = np.clip(linear, 0, 1)
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
