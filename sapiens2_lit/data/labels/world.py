"""Find the transformation from the frame of an image's labels to its camera's frame, or say what is missing."""

from pathlib import Path

from sapiens2_lit.data.labels.camera import CameraSource
from sapiens2_lit.data.labels.frames import FRAMES, Frame, Pose, camera_pose, is_world
from sapiens2_lit.errors import SettingError


def check_frame(frame: str, cameras: CameraSource | None) -> None:
    """Check that a frame is known, and that a world frame has cameras.

    Raises:
        SettingError: the frame is unknown, or a setting is missing; it names the frames or the setting.
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
    """Return the transformation from a frame to the camera's frame, for one image.

    Args:
        frame: of the labels.
        cameras: source of the extrinsics that a world frame needs; None for camera frames.
        image: the image.
        stem: its stem.

    Raises:
        DataError: the camera has no extrinsics, or wrong ones.
    """
    if not is_world(frame):
        return camera_pose(frame)
    assert cameras is not None, "check_frame has run"
    return cameras.pose(image, stem, frame)


def advise_on_frame(frame: str) -> str:
    """Return what to do about points that are behind the camera instead of before it, as the end of a sentence."""
    other = {"opencv": "opengl", "opengl": "opencv"}.get(frame)
    if other:
        return f"; set it to '{other}'"
    if is_world(frame):
        return " (or the extrinsics have the other direction: call the matrix camera_to_world or world_to_camera)"
    return f" ({FRAMES[frame].words})"
