"""Remove private facts from a report that strangers read: paths, names of users and machines."""

import getpass
import os
import platform
import re
import socket
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

# An absolute path, whose last part may be a public file name. Not: https://..., facebook/name.
_PATH = re.compile(r"(?<![\w/.:>-])(?:~|[A-Za-z]:)?[\\/](?![\\/\s])[^\s'\"`(),;:<>|]*")
_PUBLIC = re.compile(
    r"(config|preprocessor_config)\.json|model(-\d+-of-\d+)?\.safetensors(\.index\.json)?|sapiens2_[\w.]+\.safetensors"
)
_COMMON = {"root", "user", "localhost", "linux", "runner", "ubuntu", "admin", "main", "train", "test", "data"}
_SHORTEST = 3  # letters of a name; shorter names may be parts of words


class Cleaner:
    """Replaces private parts of texts.

    Args:
        places: Files and folders that the user has named, complete or not.
    """

    def __init__(self, places: Iterable[str] = ()) -> None:
        folders = [str(Path.home()), str(Path.cwd()), tempfile.gettempdir(), os.environ.get("HF_HOME", "")]
        known = [one for place in places for one in (place, str(Path(place).expanduser().absolute()))]
        self.places = sorted({one.rstrip("/\\") for one in [*known, *folders]} - {"", ".", "/"}, key=len)[
            ::-1
        ]
        self.names = sorted({name for name in _names() if len(name) >= _SHORTEST} - _COMMON, key=len)[::-1]

    def clean(self, text: str) -> str:
        """Return the text with `<path>` for paths, except public file names, and `<name>` for names."""
        for place in self.places:
            text = re.sub(rf"(?<![\w.]){re.escape(place)}(?![\w.-])", "/private", text)
        text = _PATH.sub(self._shown, text)
        for name in self.names:
            text = re.sub(
                rf"(?<![A-Za-z0-9]){re.escape(name)}(?![A-Za-z0-9])", "<name>", text, flags=re.IGNORECASE
            )
        return text

    def _shown(self, found: re.Match[str]) -> str:
        path = found[0].rstrip(".")
        last = re.split(r"[\\/]", path)[-1]
        kept = f"<path>/{last}" if _PUBLIC.fullmatch(last) else "<path>"
        return kept + found[0][len(path) :]


def _names() -> set[str]:
    """Return the names of this user and this machine."""
    found = {platform.node(), socket.gethostname(), Path.home().name}
    with suppress(Exception):  # nobody is logged in, such as in a container
        found.add(getpass.getuser())
    parts = {part for name in found for part in name.split(".")[:1]}
    return {name for name in found | parts if name}
