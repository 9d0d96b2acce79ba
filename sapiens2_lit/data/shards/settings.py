"""How packed data are read: where what is fetched is kept, and in which order samples come."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from sapiens2_lit.errors import SettingError

FOLDER, SIZE = "SAPIENS2_LIT_CACHE", "SAPIENS2_LIT_CACHE_SIZE"  # environment variables
DEFAULT_SIZE = "100GB"
_UNITS = {
    "": 1,
    "K": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "KI": 2**10,
    "MI": 2**20,
    "GI": 2**30,
    "TI": 2**40,
}
_BYTES = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(|K|M|G|T|KI|MI|GI|TI)B?", re.IGNORECASE)


@dataclass(frozen=True)
class ShardReading:
    """How a packed folder is read (`sapiens2-lit pack`); of other folders nothing of it matters.

    Attributes:
        cache: folder for what is fetched from `s3://` and `https://`; null for that of the environment variable
            SAPIENS2_LIT_CACHE, else ~/.cache/sapiens2-lit/shards.
        cache_size: most that it holds, of all datasets, such as 200GB; null for SAPIENS2_LIT_CACHE_SIZE, else 100GB.
        window: shards among which training samples are shuffled: the order of an epoch goes through the shards, in a
            drawn order, and each sample moves by up to so many shards in it. Null, and any number that all shards fit
            into, for the order of folders.

    Raises:
        SettingError: naming the setting, what was found and what was expected.
    """

    cache: str | None = None
    cache_size: str | None = None
    window: int | None = 8

    def __post_init__(self) -> None:
        if self.window is not None and self.window < 1:
            raise SettingError(
                f"data.shards.window is {self.window}, expected a number of shards, 1 or more, or null."
            )
        if self.cache_size is not None:
            parse_bytes(self.cache_size, "data.shards.cache_size")

    @property
    def folder(self) -> Path:
        given = self.cache or os.environ.get(FOLDER) or "~/.cache/sapiens2-lit/shards"
        return Path(given).expanduser()

    @property
    def limit(self) -> int:
        """Most bytes in the cache."""
        if self.cache_size is not None:
            return parse_bytes(self.cache_size, "data.shards.cache_size")
        return parse_bytes(os.environ.get(SIZE) or DEFAULT_SIZE, SIZE)


def parse_bytes(text: str, setting: str) -> int:
    """Return a number of bytes as people write it: 1GB, 512 MiB, 1500000.

    Raises:
        SettingError: naming the setting.
    """
    match = _BYTES.fullmatch(str(text).strip())
    if match is None or not float(match[1]):
        raise SettingError(f"{setting} is {text!r}, expected a number of bytes, such as 1GB, 512MB or 2GiB.")
    return int(float(match[1]) * _UNITS[match[2].upper()])
