"""`index.json` of a packed folder: its shards, and the index of what is in them.

It is a shard list as `wids` of webdataset reads it (https://github.com/webdataset/webdataset), with fields of our own.
"""

import json
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from sapiens2_lit.errors import DataError

NAME = "index.json"
FORMAT = 1
_KIND = "wids-shard-index-v1"
_OWN = "sapiens2_lit_pack"  # the field of our own


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
    """What a packed folder consists of.

    Attributes:
        shards: by their numbers.
        index_size: of `index.sqlite`, in bytes.
        index_sha256: of its bytes; it stands for the whole pack.
        plan: fingerprint of what was packed, and how.
    """

    shards: tuple[Shard, ...]
    index_size: int
    index_sha256: str
    plan: str

    def to_bytes(self) -> bytes:
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
    """Return what `index.json` says; None where it is not of a pack of ours.

    Args:
        data: its bytes.
        place: of the file, for messages.

    Raises:
        DataError: it is of a pack of ours, but of another format, or a field does not fit.
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
            f"{place}: not as `sapiens2-lit pack` wrote it ({error!r}): fetch it again, or pack again."
        ) from error
    return Manifest(shards, size, digest, plan)


def _shard(content: dict[str, Any]) -> Shard:
    found = Shard(content["url"], content["nsamples"], content["filesize"], content["sha256"])
    if not isinstance(found.name, str) or "/" in found.name or not isinstance(found.size, int):
        raise TypeError(f"no shard: {content}")
    return found
