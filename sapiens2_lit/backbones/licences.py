"""Licences of pretrained weights: what they are called, where they are, and what is worth knowing before use."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Licence:
    """A licence.

    Args:
        title: for people.
        page: where its text is, where that is known.
        remark: a condition that decides whether weights can be used at all.
    """

    title: str
    page: str = ""
    remark: str = ""


SAPIENS2 = "sapiens2-license"
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
    """One line on a licence, by its name on the hub."""
    known = LICENCES.get(licence)
    if known is None:
        return f"licence of the backbone's weights: {licence}"
    remark = f"; {known.remark}" if known.remark else ""
    page = f", {known.page}" if known.page else ""
    return f"licence of the backbone's weights: {known.title} ({licence}{remark}){page}"
