"""Clothes: the parts of the body that they cover, and their paints in the rest pose."""

from dataclasses import dataclass, replace

import numpy as np

from sapiens2_lit.synthetic.body.bones import SIDES
from sapiens2_lit.synthetic.body.parts import Array, Paint
from sapiens2_lit.synthetic.body.physique import Physique, rest_pose
from sapiens2_lit.synthetic.body.sculpt import sided
from sapiens2_lit.synthetic.body.textures import (
    Texture,
    Where,
    above,
    between,
    layered,
    painted,
    pattern,
    sample_cloth,
    sample_color,
    sample_denim,
    sample_skin_texture,
    unrolled,
)
from sapiens2_lit.synthetic.dataset.classes import BodyClass

_SKIN_OF = ("UPPER_ARM", "LOWER_ARM", "HAND", "UPPER_LEG", "LOWER_LEG", "FOOT")


@dataclass(frozen=True)
class Outfit:
    """One outfit.

    Attributes:
        skin: paints of bare skin: "trunk", "neck" and, with the side, "left_UPPER_ARM" and so on.
        trunk: paint of everything between neck and hips, clothes included.
        upper, lower: paints of sleeves and of trouser legs.
        sleeve: length of sleeves: 0 none, 1 to the elbow, 2 to the wrist.
        leg: length of trouser legs: 0 briefs, 1 to the knee, 2 to the ankle.
        upper_ease, lower_ease: thickness of the cloth with the air below it, in meters.
        skirt: length of a skirt relative to the thigh, 0 for none.
        skirt_paint: of the skirt.
        flare: of the skirt's hem, in meters.
        footwear: "shoe", "sock" or "bare".
        shoe, sole, sock: colors of footwear.
        sock_height: above the ankle, in meters.
        collar, scarf, backpack: paints, or None for those not worn.
        watch: the side of a wrist watch, if any.
        crotch: height down to which the trunk's clothes cover the thighs; infinite if they do not.
    """

    skin: dict[str, Paint]
    trunk: Paint
    upper: Paint
    lower: Paint
    sleeve: float
    leg: float
    upper_ease: float
    lower_ease: float
    skirt: float
    skirt_paint: Paint
    flare: float
    footwear: str
    shoe: Texture
    sole: Texture
    sock: Texture
    sock_height: float
    collar: Paint | None
    scarf: Paint | None
    backpack: Paint | None
    watch: str | None
    crotch: float

    def on_thigh(self, paint: Paint) -> Paint:
        """Return a paint of the thigh, covered by the clothes of the trunk down to their end."""
        if self.skirt:
            return layered(paint, (above(-0.08), self.skirt_paint))
        return layered(paint, (above(self.crotch), self.trunk))


@dataclass(frozen=True)
class _Top:
    """The upper garment: kind, sleeve, ease, lowest and highest height on the trunk, depth of the neckline."""

    kind: str
    sleeve: float
    ease: float
    hem: float
    neckline: float

    @property
    def collar(self) -> bool:
        return self.kind in ("shirt", "jacket", "sweater")


def _sample_top(rng: np.random.Generator, body: Physique) -> _Top:
    kinds = ("t-shirt", "long", "shirt", "tank", "bare", "jacket", "sweater")
    bare = 0.07 * (1 - body.feminine)
    weights = np.array((0.27, 0.17, 0.15, 0.10, bare, 0.15, 0.12))
    kind = str(rng.choice(kinds, p=weights / weights.sum()))
    sleeve = {
        "t-shirt": rng.uniform(0.4, 0.85),
        "long": 1.95,
        "shirt": rng.choice((0.7, 1.4, 1.97)),
        "tank": 0.0,
        "bare": 0.0,
        "jacket": 1.98,
        "sweater": rng.choice((1.6, 1.95)),
    }[kind]
    ease = {"jacket": 0.016, "sweater": 0.012, "long": 0.005, "tank": 0.003, "bare": 0.0}.get(kind, 0.008)
    ease *= rng.uniform(0.7, 1.4)
    hem = (0.18 if rng.random() < 0.3 else rng.uniform(-0.10, 0.06)) * body.trunk  # tucked in or not
    if kind == "tank" and body.feminine > 0.6 and rng.random() < 0.4:
        hem = 0.36 * body.trunk
    neckline = rng.uniform(0.05, 0.12) if kind == "tank" else rng.uniform(0.0, 0.06)
    return _Top(kind, float(sleeve), float(ease), float(hem), float(neckline))


def sample_outfit(rng: np.random.Generator, body: Physique, tone: Array, bent: bool = False) -> Outfit:
    """Return a random outfit.

    Args:
        rng: source of the choices.
        body: the body that wears it.
        tone: sRGB skin tone (3,).
        bent: whether the hips are bent: then upper garments end above the thighs.
    """
    skin_texture = sample_skin_texture(rng, tone)
    skin = {f"{side}_{name}": painted(skin_texture, sided(side, name)) for side in SIDES for name in _SKIN_OF}
    skin |= {
        "trunk": painted(skin_texture, BodyClass.TORSO),
        "neck": painted(skin_texture, BodyClass.FACE_NECK),
    }
    top = _sample_top(rng, body)
    style = int(rng.choice(3, p=_lower_weights(body, top)))  # trousers, skirt, dress
    tights = style > 0 and rng.random() < 0.3
    leg, lower_ease = _sample_legs(rng, body, style, tights)
    if style == 2:
        top = replace(top, hem=-1.0)
    elif bent:
        top = replace(top, hem=max(top.hem, 0.04 * body.trunk))
    denim = rng.random() < 0.6
    cloth = sample_cloth(rng, sample_color(rng))
    trousers = sample_cloth(rng, sample_denim(rng) if denim else sample_color(rng), 0.06 if denim else 0.25)
    stocking = sample_cloth(rng, sample_color(rng) * 0.6, 0.0)
    wound_cloth, wound_trousers = (unrolled(texture, 0.0, body.girth(0.08)) for texture in (cloth, trousers))
    skirt = painted(
        *((wound_trousers, BodyClass.LOWER_CLOTHING), (wound_cloth, BodyClass.UPPER_CLOTHING))[style == 2]
    )
    rest = rest_pose(body)
    arm = rest["left_clavicle"][0, 3] + rest["left_shoulder"][0, 3]
    upper = painted(unrolled(cloth, arm, body.limb(0.027)), BodyClass.UPPER_CLOTHING)
    legs = unrolled(stocking if tights else trousers, rest["left_hip"][0, 3], body.limb(0.045))
    backpack = _apparel(rng, 0.08)
    return Outfit(
        skin=skin,
        trunk=_trunk_paint(rng, body, skin["trunk"], wound_cloth, skirt, top, backpack),
        upper=upper,
        lower=painted(legs, BodyClass.LOWER_CLOTHING),
        sleeve=top.sleeve,
        leg=leg,
        upper_ease=top.ease,
        lower_ease=lower_ease,
        skirt=float(rng.uniform(0.45, 1.5)) if style else 0.0,
        skirt_paint=skirt,
        flare=float(rng.uniform(0.0, 0.05)),
        **_sample_footwear(rng),
        collar=painted(wound_cloth, BodyClass.UPPER_CLOTHING) if top.collar and style != 2 else None,
        scarf=_apparel(rng, 0.07),
        backpack=backpack,
        watch=str(rng.choice(SIDES)) if rng.random() < 0.25 else None,
        crotch=float("inf") if bent else max(min(top.hem, -0.02), -0.12 * body.trunk),
    )


def _apparel(rng: np.random.Generator, chance: float) -> Paint | None:
    """Return the paint of an item that is worn with probability `chance`; None if it is not worn."""
    if rng.random() >= chance:
        return None
    return painted(sample_cloth(rng, sample_color(rng), 0.2), BodyClass.APPAREL)


def _lower_weights(body: Physique, top: _Top) -> Array:
    skirt = 0.0 if body.feminine < 0.6 else 0.22
    dress = skirt if top.kind in ("t-shirt", "long", "tank") else 0.0
    return np.array((1 - skirt - dress, skirt, dress))


def _sample_legs(rng: np.random.Generator, body: Physique, style: int, tights: bool) -> tuple[float, float]:
    """Return the length and the thickness of the legs' cloth."""
    if style:
        return (1.98, 0.001) if tights else (0.0, 0.0)
    kind = rng.random()
    if kind < 0.3:
        return float(rng.uniform(0.4, 0.98)), float(rng.uniform(0.010, 0.025))
    if kind < 0.3 + 0.22 * body.feminine:
        return float(rng.choice((1.6, 1.95))), 0.003
    return float(rng.choice((1.5, 1.98, 1.98, 1.98))), float(rng.uniform(0.006, 0.02))


def _sample_footwear(rng: np.random.Generator) -> dict:
    shoe, sock = sample_color(rng), sample_color(rng)
    if rng.random() < 0.4:
        shoe = np.full(3, rng.choice((0.08, 0.15, 0.9)))
    if rng.random() < 0.6:
        sock = np.full(3, rng.choice((0.1, 0.92)))
    sole = np.full(3, 0.93) if rng.random() < 0.5 else np.full(3, rng.uniform(0.06, 0.3))
    return {
        "footwear": str(rng.choice(("shoe", "sock", "bare"), p=(0.76, 0.09, 0.15))),
        "shoe": sample_cloth(rng, shoe, 0.1),
        "sole": sample_cloth(rng, sole, 0.0),
        "sock": sample_cloth(rng, sock, 0.15),
        "sock_height": float(rng.choice((0.02, 0.07, 0.16, 0.28))),
    }


def _trunk_paint(
    rng: np.random.Generator,
    body: Physique,
    skin: Paint,
    upper: Texture,
    lower: Paint,
    top: _Top,
    backpack: Paint | None,
) -> Paint:
    """Return skin, then the lower garment up to the waist, the upper one down to its hem, a belt, straps."""
    waist = (0.17 if rng.random() < 0.6 else 0.26) * body.trunk
    layers: list[tuple[Where, Paint]] = [(lambda p: p[:, 1] < waist, lower)]
    if top.kind != "bare" and top.hem > waist - 0.02 and rng.random() < 0.35:
        belt = painted(sample_cloth(rng, sample_color(rng), 0.0), BodyClass.APPAREL)
        layers.append((between(waist - 0.035, waist), belt))
    if top.kind != "bare":
        front = _fronted(rng, upper, top.kind, waist)
        layers.append((_garment(body, top), painted(front, BodyClass.UPPER_CLOTHING)))
    if backpack is not None:
        edge, low = 0.055 * body.height, 0.45 * body.trunk
        layers.append((lambda p: (np.abs(np.abs(p[:, 0]) - edge) < 0.02) & (p[:, 1] > low), backpack))
    return layered(skin, *layers)


def _garment(body: Physique, top: _Top) -> Where:
    """Return where an upper garment covers the trunk: from hem to neckline, and for tank tops not the shoulders."""
    neck = 0.80 * body.trunk
    width = (0.045 + 0.15 * top.neckline) * body.height

    def where(p: Array) -> np.ndarray:
        drop = top.neckline * body.height * np.where(p[:, 2] > 0, 1.0, 0.3) + 0.012 * body.height
        opening = (p[:, 0] / width) ** 2 + (
            (p[:, 1] - neck - 0.02 * body.height) / (drop + 0.02 * body.height)
        ) ** 2
        covered = (p[:, 1] > top.hem) & ((opening > 1) | top.collar)
        if top.kind == "tank":
            high = (p[:, 1] - 0.58 * body.trunk) / body.trunk  # straps leave the shoulders bare
            covered &= (high < 0) | (
                np.abs(p[:, 0]) < 0.083 * body.height - 0.12 * body.height * np.maximum(high, 0)
            )
        return covered

    return where


def _fronted(rng: np.random.Generator, cloth: Texture, kind: str, waist: float) -> Texture:
    """Return the front of an upper garment: an open jacket, a row of buttons, a print, or nothing."""
    if kind == "jacket" and rng.random() < 0.6:
        inner, gap = sample_cloth(rng, sample_color(rng), 0.2), float(rng.uniform(0.02, 0.07))
        return pattern(cloth, inner, lambda p: (np.abs(p[:, 0]) < gap) & (p[:, 2] > 0))
    dark = sample_cloth(rng, sample_color(rng), 0.0)
    if kind == "shirt":
        return pattern(
            cloth,
            dark,
            lambda p: (p[:, 0] ** 2 + (np.mod(p[:, 1], 0.08) - 0.04) ** 2 < 0.006**2) & (p[:, 2] > 0),
        )
    if kind in ("t-shirt", "sweater") and rng.random() < 0.4:
        size, height = float(rng.uniform(0.05, 0.09)), waist + float(rng.uniform(0.2, 0.27))
        return pattern(
            cloth,
            dark,
            lambda p: (np.abs(p[:, 0]) < size) & (np.abs(p[:, 1] - height) < size) & (p[:, 2] > 0),
        )
    return cloth
