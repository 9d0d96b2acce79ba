"""How packed data are read: the cache for fetched data, and the order of samples."""

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
    """How a packed folder is read (`sapiens2-lit pack`); no effect on other folders.

    Attributes:
        cache: folder for data fetched from `s3://` and `https://`; null for the environment variable
            SAPIENS2_LIT_CACHE, else ~/.cache/sapiens2-lit/shards.
        cache_size: largest size of the cache over all datasets, such as 200GB; null for SAPIENS2_LIT_CACHE_SIZE, else
            100GB.
        window: number of shards among which training samples are shuffled: an epoch goes through the shards in a drawn
            order, and each sample moves by up to so many shards in it. With null, or a number that all shards fit into,
            the order is that of plain folders.

    Raises:
        SettingError: a setting is wrong; the message names it, what was found and what was expected.
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
        """Folder of the cache."""
        given = self.cache or os.environ.get(FOLDER) or "~/.cache/sapiens2-lit/shards"
        return Path(given).expanduser()

    @property
    def limit(self) -> int:
        """Largest number of bytes in the cache."""
        if self.cache_size is not None:
            return parse_bytes(self.cache_size, "data.shards.cache_size")
        return parse_bytes(os.environ.get(SIZE) or DEFAULT_SIZE, SIZE)


def parse_bytes(text: str, setting: str) -> int:
    """Return a number of bytes from text such as 1GB, 512 MiB or 1500000.

    Raises:
        SettingError: the text is no number of bytes; it names the setting.
    """
    match = _BYTES.fullmatch(str(text).strip())
    if match is None or not float(match[1]):
        raise SettingError(f"{setting} is {text!r}, expected a number of bytes, such as 1GB, 512MB or 2GiB.")
    return int(float(match[1]) * _UNITS[match[2].upper()])
