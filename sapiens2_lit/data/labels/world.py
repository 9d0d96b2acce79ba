"""Which way leads from the frame of an image's labels to its camera's, and what to say where none does."""

from pathlib import Path

from sapiens2_lit.data.labels.camera import CameraSource
from sapiens2_lit.data.labels.frames import FRAMES, Frame, Pose, camera_pose, is_world
from sapiens2_lit.errors import SettingError


def check_frame(frame: str, cameras: CameraSource | None) -> None:
    """Check that a frame is known, and that there are cameras where it is a world's.

    Raises:
        SettingError: naming the frames, or the setting that is missing.
    """
    if frame not in FRAMES:
        known = "; ".join(f"{name} ({axes.words})" for name, axes in FRAMES.items())
        raise SettingError(f"data.frame is {frame!r}, expected one of {known}.")
    if is_world(frame) and (cameras is None or not cameras.has_files):
        raise SettingError(
            f"data.frame is {frame!r}, {FRAMES[frame].words}: normals and points of a world need the camera's "
            "`extrinsics` for each image, in json files under data.cameras; or write them in the camera's frame."
        )


def pose_of(frame: Frame, cameras: CameraSource | None, image: Path, stem: str) -> Pose:
    """Return the way from a frame to the camera's, for one image.

    Raises:
        DataError: the camera has no extrinsics, or they are none.
    """
    if not is_world(frame):
        return camera_pose(frame)
    assert cameras is not None, "check_frame has run"
    return cameras.pose(image, stem, frame)


def advise_on_frame(frame: str) -> str:
    """Return what to do where points that should be in front of the camera are behind it, as the end of a sentence."""
    other = {"opencv": "opengl", "opengl": "opencv"}.get(frame)
    if other:
        return f"; set it to '{other}'"
    if is_world(frame):
        return " (or the extrinsics lead the other way: call the matrix camera_to_world or world_to_camera)"
    return f" ({FRAMES[frame].words})"
