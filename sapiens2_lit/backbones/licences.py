"""Licenses of pretrained weights: their names, their pages, and what to know before use."""

from dataclasses import dataclass

from sapiens2_lit.checkpoints.pretraining_file import read_origin


@dataclass(frozen=True)
class Licence:
    """A license.

    Args:
        title: Name for people.
        page: Address of its text, if known.
        remark: A condition that decides whether the weights can be used at all.
    """

    title: str
    page: str = ""
    remark: str = ""


SAPIENS2 = "sapiens2-license"
ON_HUB = ("apache-2.0", "mit", "cc-by-nc-4.0")  # names in the hub's metadata
NON_COMMERCIAL = "no commercial use"
# keys are the names on the Hugging Face hub
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
    """Return one line on a license, given its name on the hub."""
    return f"license of the backbone's weights: {in_words(licence)}"


def derived(base: str, licence: str | None) -> str:
    """Return one or two sentences on weights that were derived from others.

    Args:
        base: The other weights, for people.
        licence: License of the other weights; None if it is not known.
    """
    if licence is None:
        return (
            f"The weights are derived from {base}, whose license is not known here: find it out before use."
        )
    return f"The weights are derived from {base}, and its license holds for them: {in_words(licence)}."


def restriction(base: str | None, licence: str | None) -> str:
    """Return the notice that files with weights derived from `base` must carry; empty if every use is allowed."""
    known = LICENCES.get(licence or "")
    return derived(base, licence) if base is not None and known is not None and known.remark else ""


def in_words(licence: str) -> str:
    """Describe a license in words: its title, its page and any condition, given its name on the hub."""
    known = LICENCES.get(licence)
    if known is None:
        return licence
    remark = f"; {known.remark}" if known.remark else ""
    page = f", {known.page}" if known.page else ""
    return f"{known.title} ({licence}{remark}){page}"


def licence_of(weights: str | None) -> str | None:
    """Return the license of a Sapiens2 backbone's weights, by its name on the hub.

    It is Meta's, except for weights that a pretraining from random values wrote: then None, since their owner decides.
    """
    if weights is None:
        return None
    origin = read_origin(weights)
    return SAPIENS2 if origin is None else origin.get("licence")
