"""One part of a run, written as `I/N`."""

from dataclasses import dataclass

from sapiens2_lit.errors import SettingError
from sapiens2_lit.inference.sources import Source


@dataclass(frozen=True)
class Shard:
    """One part of a run.

    Attributes:
        index: Of the part, from 1.
        number: Of parts.
    """

    index: int
    number: int

    @property
    def name(self) -> str:
        """The part's name in file names, such as `1-of-4`."""
        return f"{self.index}-of-{self.number}"

    def __str__(self) -> str:
        return f"{self.index}/{self.number}"

    def of(self, source: Source) -> Source:
        """Return the photographs and videos of this part: every `number`-th one; a video is never divided."""
        mine = [*source.photos, *source.videos][self.index - 1 :: self.number]
        part = Source({name: source.photos[name] for name in mine if name in source.photos}, {}, source.root)
        part.videos = {name: source.videos[name] for name in mine if name in source.videos}
        return part


def parse_shard(text: str) -> Shard:
    """Return the shard that `I/N` names.

    Raises:
        SettingError: The text has another form, or I is not within 1 to N.
    """
    index, _, number = text.partition("/")
    if not (index.isascii() and index.isdigit() and number.isascii() and number.isdigit()):
        raise SettingError(f"--shard: found {text!r}, expected I/N, such as 1/4")
    if not 1 <= int(index) <= int(number):
        raise SettingError(f"--shard: found {text}, expected I/N with I from 1 to N")
    return Shard(int(index), int(number))
