"""One part of a run, by `I/N`."""

from dataclasses import dataclass

from sapiens2_lit.errors import SettingError
from sapiens2_lit.inference.sources import Source


@dataclass(frozen=True)
class Shard:
    """One part of a run.

    Attributes:
        index: which, from 1.
        number: of parts.
    """

    index: int
    number: int

    @property
    def name(self) -> str:
        return f"{self.index}-of-{self.number}"

    def __str__(self) -> str:
        return f"{self.index}/{self.number}"

    def of(self, source: Source) -> Source:
        """Return the photographs and videos of this part: every `number`-th; a video is never divided."""
        photos, videos = list(source.photos), list(source.videos)
        mine = [
            (photos + videos)[place]
            for place in range(self.index - 1, len(photos) + len(videos), self.number)
        ]
        part = Source({name: source.photos[name] for name in mine if name in source.photos}, {}, source.root)
        part.videos = {name: source.videos[name] for name in mine if name in source.videos}
        return part


def parse_shard(text: str) -> Shard:
    """Return a shard from `I/N`.

    Raises:
        SettingError: it is none of them.
    """
    index, _, number = text.partition("/")
    if not (index.isascii() and index.isdigit() and number.isascii() and number.isdigit()):
        raise SettingError(f"--shard: found {text!r}, expected I/N, such as 1/4")
    if not 1 <= int(index) <= int(number):
        raise SettingError(f"--shard: found {text}, expected I/N with I from 1 to N")
    return Shard(int(index), int(number))
