"""The keypoints of a data.yaml of YOLO, as the contents of a skeleton file.

Page: https://docs.ultralytics.com/datasets/pose.
"""

from typing import Any

from sapiens2_lit.errors import SettingError


def points_of_yolo(data: Any, where: str) -> Any:
    """Return names and mirror pairs if `data` is a data.yaml of YOLO pose; else `data` itself.

    Points without `kpt_names` are called point_1, point_2, ...; without `flip_idx`, pairs are found by name.

    Raises:
        SettingError: `kpt_shape`, `kpt_names` or `flip_idx` does not fit.
    """
    if not isinstance(data, dict) or "kpt_shape" not in data or "keypoints" in data:
        return data
    shape = data["kpt_shape"]
    if not isinstance(shape, list) or not shape or type(shape[0]) is not int:
        raise SettingError(f"{where}: `kpt_shape` is {shape!r}, expected [number of points, 2 or 3].")
    given = data.get("kpt_names")
    names = next(iter(given.values()), None) if isinstance(given, dict) else given
    names = [f"point_{number}" for number in range(1, shape[0] + 1)] if names is None else list(names)
    if len(names) != shape[0]:
        raise SettingError(
            f"{where}: `kpt_names` has {len(names)} names, and `kpt_shape` says {shape[0]} points."
        )
    found: dict[str, Any] = {"keypoints": list(map(str, names))}
    if flip := data.get("flip_idx"):
        mutual = sorted(flip) == list(range(len(names))) and all(
            flip[other] == one for one, other in enumerate(flip)
        )
        if not mutual:
            raise SettingError(
                f"{where}: `flip_idx` is {flip!r:.80}, expected the partner of each of {shape[0]} points."
            )
        found["swaps"] = [[one, other] for one, other in enumerate(flip) if one < other]
    return found
