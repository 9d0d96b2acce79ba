"""Read passes of OpenEXR files: from `predict`, and from renderers that write many passes into one file.

A channel is called LAYER.NAME, such as ViewLayer.Normal.X, or NAME alone; the layer is the part before the last dot.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sapiens2_lit.data.shards.files import real_file
from sapiens2_lit.errors import DataError

Array = npt.NDArray[Any]
Channels = dict[str, Array]

_TRIPLES = (("x", "y", "z"), ("r", "g", "b"))
# Renderers' names of the pass of a label, in lower case without spaces and signs.
PASSES: dict[str, frozenset[str]] = {
    "normal": frozenset({"normal", "normals", "n", "worldnormal", "cameranormal", "normalpass"}),
    "pointmap": frozenset(
        {"position", "p", "points", "point", "pointmap", "worldposition", "positionpass", "xyz"}
    ),
    "albedo": frozenset(
        {"albedo", "diffcol", "diffusecolor", "diffusecol", "basecolor", "diffusealbedo", "diffusefilter"}
    ),
    "foreground": frozenset({"foreground", "fg", "combined", "beauty", "rgba"}),
    "depth": frozenset({"depth", "z", "zdepth", "depthz", "lineardepth"}),
    "alpha": frozenset({"alpha", "a", "matte"}),
}
_SHOWN = 40  # channels of a file that messages list


def read_exr(path: Path, kind: str, channels: int, layer: str | None = None) -> Array | None:
    """Return the pass of a label, (h, w) or (h, w, 3), in the display window of the file; 0 where it has no data.

    The named layer is used; else the only one that fits; else the one with a renderer's usual name for the pass. Three
    equal channels of depth are one pass.

    Args:
        path: the file.
        kind: of the label: normal, pointmap, depth, albedo, foreground, alpha.
        channels: number of the label's channels, 1 or 3.
        layer: a layer or a channel by its name, or the end of it after a dot.

    Returns:
        None without the package OpenEXR.

    Raises:
        DataError: none fits, or several; it lists the channels of the file.
        OSError: the file is broken.
    """
    try:
        import OpenEXR
    except ImportError:
        return None
    try:
        with real_file(path) as name, OpenEXR.File(name, separate_channels=True) as file:
            found, windows = _channels(file), [_windows(part.header) for part in file.parts]
    except RuntimeError as error:  # the only error that it raises
        raise OSError(str(error)) from error
    names = [list(group) for group in _candidates(found, channels, kind)]
    chosen = _choose(path, names, found, kind, channels, layer)
    values = np.stack([found[name] for name in chosen], axis=-1)
    return _in_display(values[..., 0] if channels == 1 else values, windows)


def _channels(file: Any) -> Channels:
    """Return the channels of all parts by name; those of a named part have its name in front."""
    found: Channels = {}
    for part in file.parts:
        name = part.header.get("name", "") if len(file.parts) > 1 else ""
        for channel, content in part.channels.items():
            full = channel if not name or channel.startswith(f"{name}.") else f"{name}.{channel}"
            found[full] = np.array(content.pixels)
    return found


def _windows(header: dict[str, Any]) -> tuple[Array, Array]:
    return np.array(header["dataWindow"]), np.array(header["displayWindow"])


def _in_display(values: Array, windows: Sequence[tuple[Array, Array]]) -> Array:
    """Return the pixels of a data window at their place in the display window, which is the image."""
    fitting = [(data, display) for data, display in windows
               if values.shape[:2] == tuple((data[1] - data[0] + 1)[::-1])]  # fmt: skip
    data, display = (fitting or list(windows))[0]
    if (data == display).all():
        return values
    width, height = display[1] - display[0] + 1
    placed = np.zeros((height, width, *values.shape[2:]), dtype=values.dtype)
    x, y = data[0] - display[0]
    rows, columns = values.shape[:2]
    top, left = max(0, -y), max(0, -x)
    part = values[top : max(top, height - y), left : max(left, width - x)]
    placed[y + top : y + top + part.shape[0], x + left : x + left + part.shape[1]] = part[:rows, :columns]
    return placed


def _candidates(found: Channels, count: int, kind: str) -> list[tuple[str, ...]]:
    """Return groups of `count` channels that could be the label."""
    layers: dict[str, dict[str, str]] = {}
    for name in found:
        layer, _, last = name.rpartition(".")
        layers.setdefault(layer, {})[last.lower()] = name
    triples = [
        tuple(by_name[letter] for letter in letters)
        for by_name in layers.values()
        for letters in _TRIPLES
        if all(letter in by_name for letter in letters)
    ]
    if count == 3:
        return triples
    in_triples = {name for group in triples for name in group}
    single: list[tuple[str, ...]] = [(name,) for name in found if name not in in_triples]
    if kind == "alpha":
        return [one for one in single if _last(one[0]) in PASSES["alpha"]] or single
    colors = {group[0].rpartition(".")[0] for group in triples}
    single = [one for one in single if not (_last(one[0]) == "a" and one[0].rpartition(".")[0] in colors)]
    same: list[tuple[str, ...]] = [
        group[:1] for group in triples if all((found[one] == found[group[0]]).all() for one in group)
    ]
    return single or same


def _choose(
    path: Path,
    groups: Sequence[Sequence[str]],
    found: Channels,
    kind: str,
    count: int,
    layer: str | None,
) -> Sequence[str]:
    wanted = "three channels X, Y, Z or R, G, B" if count == 3 else "one channel"
    if layer is not None:
        named = [group for group in groups if _is_named(group, layer)]
        if count == 1 and not named:  # a channel can be chosen by name that would not be chosen otherwise
            named = [(name,) for name in found if _is_named((name,), layer)]
        if len(named) == 1:
            return named[0]
        said = "no layer" if not named else f"{len(named)} layers"
        raise DataError(
            f"{path}: {said} of {wanted} called {layer!r} (data.layer); the file has {_listed(found)}."
        )
    if len(groups) > 1:
        plain = [group for group in groups if count == 1 and group[0] == "Z" and kind != "alpha"]
        by_layer = [group for group in groups if _last(group[0].rpartition(".")[0]) in PASSES.get(kind, ())]
        by_channel = [group for group in groups if count == 1 and _last(group[0]) in PASSES.get(kind, ())]
        groups = plain or by_layer or by_channel or groups
    if len(groups) == 1:
        return groups[0]
    what = "nothing" if not groups else f"{len(groups)} layers"
    how = ": choose one by data.layer" if groups else ""
    raise DataError(
        f"{path}: {what} in it could be the {kind} label, expected {wanted} of one layer; the file has "
        f"{_listed(found)}{how}."
    )


def _is_named(group: Sequence[str], layer: str) -> bool:
    """Whether a group belongs to a layer, named in full or by the end of its name after a dot."""
    names = {group[0].rpartition(".")[0].lower()} | ({group[0].lower()} if len(group) == 1 else set())
    return any(name == layer.lower() or name.endswith(f".{layer.lower()}") for name in names if name)


def _last(name: str) -> str:
    return "".join(letter for letter in name.rpartition(".")[2].lower() if letter.isalnum())


def _listed(found: Channels) -> str:
    names = sorted(found)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"the channels {', '.join(names[:_SHOWN])}{more}" if names else "no channels"
