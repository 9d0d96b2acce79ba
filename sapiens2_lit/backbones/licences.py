"""Licenses of pretrained weights: what they are called, where they are, and what is worth knowing before use."""

from dataclasses import dataclass

from sapiens2_lit.checkpoints.pretraining_file import read_origin


@dataclass(frozen=True)
class Licence:
    """A license.

    Args:
        title: for people.
        page: where its text is, where that is known.
        remark: a condition that decides whether weights can be used at all.
    """

    title: str
    page: str = ""
    remark: str = ""


SAPIENS2 = "sapiens2-license"
ON_HUB = ("apache-2.0", "mit", "cc-by-nc-4.0")  # which the hub's metadata knows by these names
NON_COMMERCIAL = "no commercial use"
# by the names of the Hugging Face hub
LICENCES = {
    SAPIENS2: Licence("Sapiens2 License", "https://huggingface.co/collections/facebook/sapiens2"),
    "dinov3-license": Licence(
        "DINOv3 License", "https://ai.meta.com/resources/models-and-libraries/dinov3-license/"
    ),
    "apache-2.0": Licence("Apache License 2.0", "https://www.apache.org/licenses/LICENSE-2.0"),
    "mit": Licence("MIT License", "https://opensource.org/license/mit"),
    "cc-by-nc-4.0": Licence(
        "CC BY-NC 4.0", "https://creativecommons.org/licenses/by-nc/4.0/", NON_COMMERCIAL
    ),
    "fair-noncommercial-research-license": Licence(
        "FAIR Noncommercial Research License", remark=NON_COMMERCIAL
    ),
}


def notice(licence: str) -> str:
    """One line on a license, by its name on the hub."""
    return f"licence of the backbone's weights: {in_words(licence)}"


def derived(base: str, licence: str | None) -> str:
    """Return what to say of weights that were derived from others, in one or two sentences.

    Args:
        base: the others, for people.
        license: of these, None where it is not known.
    """
    if licence is None:
        return (
            f"The weights are derived from {base}, whose licence is not known here: find it out before use."
        )
    return f"The weights are derived from {base}, and its licence holds for them: {in_words(licence)}."


def restriction(base: str | None, licence: str | None) -> str:
    """What must stand in every file with weights derived from `base`; empty where its license allows every use."""
    known = LICENCES.get(licence or "")
    return derived(base, licence) if base is not None and known is not None and known.remark else ""


def in_words(licence: str) -> str:
    """Return a license with its page and what decides whether its weights can be used, by its name on the hub."""
    known = LICENCES.get(licence)
    if known is None:
        return licence
    remark = f"; {known.remark}" if known.remark else ""
    page = f", {known.page}" if known.page else ""
    return f"{known.title} ({licence}{remark}){page}"


def licence_of(weights: str | None) -> str | None:
    """Return the license of a Sapiens2 backbone's weights, by its name on the hub.

    Meta's, unless a pretraining from random values wrote them: then None, as the choice is its owner's.
    """
    if weights is None:
        return None
    origin = read_origin(weights)
    return SAPIENS2 if origin is None else origin.get("licence")
