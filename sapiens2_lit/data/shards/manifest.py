"""`index.json` of a packed folder: its shards, and the index of their content.

It is a shard list that `wids` of webdataset reads (https://github.com/webdataset/webdataset), with additional fields.
"""

import json
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from sapiens2_lit.errors import DataError

NAME = "index.json"
FORMAT = 1
_KIND = "wids-shard-index-v1"
_OWN = "sapiens2_lit_pack"  # the additional field


@dataclass(frozen=True)
class Shard:
    """A tar file.

    Attributes:
        name: of the file.
        samples: in it.
        size: of the file, in bytes.
        sha256: of its bytes.
    """

    name: str
    samples: int
    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """The content of a packed folder.

    Attributes:
        shards: by their numbers.
        index_size: of `index.sqlite`, in bytes.
        index_sha256: of its bytes; it identifies the whole pack.
        plan: fingerprint of what was packed, and how.
    """

    shards: tuple[Shard, ...]
    index_size: int
    index_sha256: str
    plan: str

    def to_bytes(self) -> bytes:
        """Return the content of `index.json`."""
        content = {
            "__kind__": _KIND,
            "wids_version": 1,
            "shardlist": [
                {"url": one.name, "nsamples": one.samples, "filesize": one.size, "sha256": one.sha256}
                for one in self.shards
            ],
            _OWN: {
                "format": FORMAT,
                "version": version("sapiens2-lit"),
                "index_size": self.index_size,
                "index_sha256": self.index_sha256,
                "plan": self.plan,
            },
        }
        return (json.dumps(content, indent=1) + "\n").encode()


def parse_manifest(data: bytes, place: str) -> Manifest | None:
    """Return the manifest in `index.json`; None if the file does not belong to a pack of this kit.

    Args:
        data: its bytes.
        place: of the file, for messages.

    Raises:
        DataError: the pack has another format, or a field does not fit.
    """
    try:
        content = json.loads(data)
    except ValueError:
        return None
    own = content.get(_OWN) if isinstance(content, dict) else None
    if not isinstance(own, dict):
        return None
    if own.get("format") != FORMAT:
        raise DataError(f"{place}: `{_OWN}.format` is {own.get('format')!r}, expected {FORMAT}: pack again.")
    try:
        shards = tuple(_shard(one) for one in content["shardlist"])
        size, digest, plan = own["index_size"], own["index_sha256"], own["plan"]
        if not (isinstance(size, int) and isinstance(digest, str) and isinstance(plan, str)):
            raise TypeError("a field of another type")
    except (LookupError, TypeError) as error:
        raise DataError(
            f"{place}: not as `sapiens2-lit pack` wrote it ({error!r}): "
            "download or copy it again, or pack into a new folder."
        ) from error
    return Manifest(shards, size, digest, plan)


def _shard(content: dict[str, Any]) -> Shard:
    found = Shard(content["url"], content["nsamples"], content["filesize"], content["sha256"])
    if not isinstance(found.name, str) or "/" in found.name or not isinstance(found.size, int):
        raise TypeError(f"no shard: {content}")
    return found
