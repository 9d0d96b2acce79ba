"""Arms and legs under or without cloth, and their landmarks."""

from dataclasses import dataclass

from sapiens2_lit.synthetic.body.bones import SIDES
from sapiens2_lit.synthetic.body.clothes import Outfit
from sapiens2_lit.synthetic.body.parts import Paint
from sapiens2_lit.synthetic.body.physique import Physique
from sapiens2_lit.synthetic.body.sculpt import Sculptor, Triple, sided
from sapiens2_lit.synthetic.body.textures import layered, painted
from sapiens2_lit.synthetic.dataset.classes import BodyClass

_TIGHT = 0.006  # meters; thinner cloth is painted on the limb


@dataclass(frozen=True)
class _Segment:
    """A hanging segment of a limb.

    Attributes:
        bone: joint that carries it.
        length: to the next joint.
        radii: of the bare limb at both joints.
        skin, cloth: paints.
        cover: share of the length that the cloth covers.
        ease: thickness of the cloth.
    """

    bone: str
    length: float
    radii: tuple[float, float]
    skin: Paint
    cloth: Paint
    cover: float
    ease: float

    def add(self, sculptor: Sculptor) -> None:
        """Add the bare limb, the cloth, or both if skin shows below a hem."""
        start, end = (0.0, 0.0, 0.0), (0.0, -self.length, 0.0)
        if self.cover >= 1:
            sculptor.cone(
                self.bone, start, end, (self.radii[0] + self.ease, self.radii[1] + self.ease), self.cloth
            )
            return
        tight = self.cover > 0 and self.ease < _TIGHT
        sculptor.cone(
            self.bone, start, end, self.radii, self.banded(sculptor) if self.cover > 0 else self.skin
        )
        if self.cover > 0 and not tight:
            radius = self.radii[0] + self.cover * (self.radii[1] - self.radii[0])
            hem = (0.0, -self.cover * self.length, 0.0)
            loose = (self.radii[0] + self.ease, radius + self.ease * 1.25)
            sculptor.cone(self.bone, start, hem, loose, self.cloth, flat=0.3)

    def bulge(self, sculptor: Sculptor, center: Triple, semi_axes: Triple) -> None:
        """Add a muscle of the segment, with the thickness of the cloth if that covers all of it."""
        add = self.ease if self.cover >= 1 else 0.0
        x, y, z = semi_axes
        paint = self.cloth if self.cover >= 1 else self.banded(sculptor) if self.cover > 0 else self.skin
        sculptor.ellipsoid(self.bone, center, (x + add, y + add, z + add), paint)

    def banded(self, sculptor: Sculptor) -> Paint:
        """Return cloth above the hem and skin below it."""
        hem = sculptor.rest_height(self.bone) - self.cover * self.length
        return layered(self.skin, (lambda p: p[:, 1] > hem, self.cloth))


def add_arm(sculptor: Sculptor, body: Physique, outfit: Outfit, side: str) -> None:
    """Add upper arm and forearm with the landmarks of elbow and wrist.

    Args:
        sculptor: collects the parts.
        body: gives the size.
        outfit: gives sleeves and paints.
        side: which arm.
    """
    h, limb = body.height, body.limb
    elbow = limb(0.0218)
    upper = _Segment(
        f"{side}_shoulder",
        body.upper_arm,
        (limb(0.0275), elbow),
        outfit.skin[f"{side}_UPPER_ARM"],
        outfit.upper,
        min(outfit.sleeve, 1.0),
        outfit.upper_ease,
    )
    fore = _Segment(
        f"{side}_elbow",
        body.forearm,
        (elbow * 1.02, limb(0.0150)),
        _watched(sculptor, body, outfit, side),
        outfit.upper,
        max(0.0, outfit.sleeve - 1.0),
        outfit.upper_ease,
    )
    upper.add(sculptor)
    deltoid = limb(0.0295) + 0.003 * h * body.muscle
    upper.bulge(sculptor, (0.003 * h, -0.030 * h, 0.0), (deltoid, 0.055 * h, deltoid))
    if body.muscle > 0.4:
        biceps = limb(0.0245) + 0.004 * h * body.muscle
        upper.bulge(sculptor, (0.0, -0.55 * body.upper_arm, 0.004 * h), (biceps, 0.060 * h, biceps))
    fore.add(sculptor)
    muscle = limb(0.0225) + 0.002 * h * body.muscle
    fore.bulge(sculptor, (0.0, -0.24 * body.forearm, 0.0), (muscle, 0.050 * h, muscle * 1.04))

    thick = elbow * 1.06 + (outfit.upper_ease if outfit.sleeve > 0.9 else 0.0)
    labels = {sided(side, "UPPER_ARM"), sided(side, "LOWER_ARM"), BodyClass.UPPER_CLOTHING}
    sculptor.mark(f"{side}_elbow", f"{side}_elbow", (0.0, 0.0, 0.0), thick + 0.01, labels)
    # the tip of the elbow is at the rear of the upper arm; the crease of a bent elbow sinks in
    rear = sculptor.local(
        f"{side}_shoulder", sculptor.point(f"{side}_elbow", (0.0, 0.5 * elbow, -0.86 * elbow))
    )
    x, y, z = rear[0], rear[1] + body.upper_arm, min(rear[2], -0.3 * elbow)
    size = thick / (x * x + y * y + z * z) ** 0.5
    sculptor.mark(
        f"{side}_olecranon",
        f"{side}_shoulder",
        (x * size, y * size - body.upper_arm, z * size),
        0.012,
        labels,
    )
    sculptor.mark(f"{side}_cubital_fossa", f"{side}_shoulder", (0.0, -body.upper_arm, thick), 0.016, labels)
    wrist = labels | {sided(side, "HAND"), BodyClass.APPAREL}
    thick = limb(0.0150) + (outfit.upper_ease if outfit.sleeve > 1.85 else 0.0)
    for name in ("wrist", "hand_root"):
        sculptor.mark(f"{side}_{name}", f"{side}_wrist", (0.0, 0.0, 0.0), thick + 0.012, wrist)


def _watched(sculptor: Sculptor, body: Physique, outfit: Outfit, side: str) -> Paint:
    """Return the forearm's skin, with a wrist watch if that side wears one."""
    skin = outfit.skin[f"{side}_LOWER_ARM"]
    if outfit.watch != side:
        return skin
    height = sculptor.rest_height(f"{side}_elbow") - 0.93 * body.forearm
    return layered(skin, (lambda p: abs(p[:, 1] - height) < 0.011, painted(outfit.shoe, BodyClass.APPAREL)))


def add_leg(sculptor: Sculptor, body: Physique, outfit: Outfit, side: str) -> None:
    """Add thigh and lower leg with the landmarks of knee and ankle.

    Args:
        sculptor: collects the parts.
        body: gives the size.
        outfit: gives trouser legs, socks and paints.
        side: which leg.
    """
    h, limb = body.height, body.limb
    knee = limb(0.0282)
    wide = 1 + 0.06 * body.feminine
    thigh = _Segment(
        f"{side}_hip",
        body.thigh,
        (limb(0.0475) * wide, knee * 1.04),
        outfit.on_thigh(outfit.skin[f"{side}_UPPER_LEG"]),
        outfit.on_thigh(outfit.lower),
        min(outfit.leg, 1.0),
        outfit.lower_ease,
    )
    shank = _Segment(
        f"{side}_knee",
        body.shank,
        (knee, limb(0.0180)),
        _socked(sculptor, body, outfit, side),
        outfit.lower,
        max(0.0, outfit.leg - 1.0),
        outfit.lower_ease,
    )
    thigh.add(sculptor)
    quad = limb(0.0385) * wide
    thigh.bulge(sculptor, (0.004 * h, -0.42 * body.thigh, 0.008 * h), (quad, 0.105 * h, quad))
    shank.add(sculptor)
    calf = limb(0.0262) + 0.002 * h * body.muscle
    shank.bulge(sculptor, (0.001 * h, -0.28 * body.shank, -0.009 * h), (calf, 0.074 * h, calf))

    thick = knee * 1.05 + (outfit.lower_ease * 1.25 if outfit.leg > 0.8 else 0.0)
    skirt = 0.05 * h + outfit.flare if outfit.skirt > 0.8 else 0.0
    labels = {
        sided(side, "UPPER_LEG"),
        sided(side, "LOWER_LEG"),
        BodyClass.LOWER_CLOTHING,
        BodyClass.UPPER_CLOTHING,
    }
    sculptor.mark(f"{side}_knee", f"{side}_knee", (0.0, 0.0, 0.0), thick + 0.012 + skirt, labels)
    thick = limb(0.0180) + 0.012 + (outfit.lower_ease if outfit.leg > 1.8 else 0.0)
    foot = {sided(side, name) for name in ("LOWER_LEG", "FOOT", "SOCK", "SHOE")} | {BodyClass.LOWER_CLOTHING}
    sculptor.mark(f"{side}_ankle", f"{side}_ankle", (0.0, 0.0, 0.0), thick + 0.020, foot)


def _socked(sculptor: Sculptor, body: Physique, outfit: Outfit, side: str) -> Paint:
    """Return the lower leg's skin with the sock on it."""
    skin = outfit.skin[f"{side}_LOWER_LEG"]
    if outfit.footwear == "bare":
        return skin
    top = sculptor.rest_height(f"{side}_ankle") + outfit.sock_height
    sock = painted(outfit.sock, sided(side, "SOCK"))
    return layered(skin, (lambda p: p[:, 1] < top, sock))


def add_limbs(sculptor: Sculptor, body: Physique, outfit: Outfit) -> None:
    """Add both arms and both legs, without hands and feet.

    Args:
        sculptor: collects the parts.
        body: gives the size.
        outfit: gives clothes and paints.
    """
    for side in SIDES:
        add_arm(sculptor, body, outfit, side)
        add_leg(sculptor, body, outfit, side)
