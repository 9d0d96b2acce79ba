"""Write point maps as surfaces: GLB, the binary form of glTF 2.0 (registry.khronos.org/glTF/specs/2.0)."""

from functools import partial
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from sapiens2_lit.errors import SettingError
from sapiens2_lit.inference.prediction import Prediction, known
from sapiens2_lit.inference.sources import Frame
from sapiens2_lit.inference.writers.base import BytesWriter, in_axes

JUMP = 0.03  # share of the depth; neighbors farther apart belong to different surfaces
MOST_VERTICES = 1_000_000


class MeshGlb(BytesWriter):
    """The pixel grid as triangles, cut where depth jumps, with the image as texture.

    Always in glTF's frame, y up and z towards the viewer, in meters. Images of more than a million pixels get a coarser
    mesh; the texture keeps its resolution.

    Args:
        head: Name of the head.
        key: Of the map.
        jump: Largest difference in depth between the corners of a triangle, as a share of the nearest depth.

    Raises:
        SettingError: trimesh is not installed.
    """

    name: ClassVar[str] = "glb"

    def __init__(self, head: str, key: str, jump: float = JUMP) -> None:
        super().__init__(head, key)
        import_trimesh()
        self.jump = jump

    def encode(self, prediction: Prediction, frame: Frame) -> bytes:
        points = self.map_of(prediction)
        step = grid_step(points.shape[0], points.shape[1])
        grid = points[::step, ::step]
        triangles, used = triangulate(grid, step * self.jump)
        height, width = points.shape[:2]
        v, u = np.divmod(used, grid.shape[1])
        # texture coordinates span the image from border to border; pixel centers lie half a pixel inside
        coordinates = np.stack([(step * u + 0.5) / width, (step * v + 0.5) / height], axis=1)
        positions = in_axes(grid.reshape(-1, 3)[used], "opengl")
        return glb(positions, coordinates.astype(np.float32), triangles, frame.image)

    def about(self, prediction: Prediction) -> dict[str, Any]:
        return {"unit": "metres", "frame": "opengl", "unknown": "left out", "jump": self.jump}


def grid_step(height: int, width: int) -> int:
    """Return the distance between vertices in pixels."""
    return max(1, int(np.ceil(np.sqrt(height * width / MOST_VERTICES))))


def triangulate(
    points: npt.NDArray[np.floating], jump: float
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
    """Return two triangles for each four neighbors of a grid of points, where all three corners are known.

    Seen from the camera the corners run counterclockwise, which is the front in glTF.

    Args:
        points: (h, w, 3) meters.
        jump: Triangles whose corners' depths differ by more than this share of the nearest one are left out.

    Returns:
        (T, 3) indices of vertices, and those vertices (N,), as indices of the grid.
    """
    height, width = points.shape[:2]
    index = np.arange(height * width).reshape(height, width)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]
    corners = np.concatenate([np.stack([a, c, b], axis=-1), np.stack([b, c, d], axis=-1)], axis=1).reshape(
        -1, 3
    )
    there = known(points) & (points[..., 2] > 0)
    z = np.where(there, points[..., 2], np.nan).ravel()[corners]
    near, far = z.min(axis=1), z.max(axis=1)
    kept = corners[far - near <= jump * near]  # NaN compares false
    used, places = np.unique(kept, return_inverse=True)
    return places.reshape(-1, 3).astype(np.uint32), used


def glb(
    positions: npt.NDArray[np.float32],
    coordinates: npt.NDArray[np.float32],
    triangles: npt.NDArray[np.uint32],
    image: npt.NDArray[np.uint8],
) -> bytes:
    """Return a GLB file of one textured mesh; without triangles, of an empty scene.

    Args:
        positions: (N, 3) meters, in glTF's frame.
        coordinates: (N, 2) on the texture, 0..1 from its upper left corner.
        triangles: (T, 3).
        image: RGB (H, W, 3), the texture.

    Raises:
        SettingError: trimesh is not installed.
    """
    trimesh = import_trimesh()
    scene = trimesh.Scene()
    if len(triangles):
        material = trimesh.visual.material.PBRMaterial(
            baseColorTexture=texture(image), metallicFactor=0, doubleSided=True
        )
        visual = trimesh.visual.TextureVisuals(uv=coordinates * [1, -1] + [0, 1], material=material)
        scene.add_geometry(trimesh.Trimesh(positions, triangles, visual=visual, process=False))
    data: bytes = trimesh.exchange.gltf.export_glb(scene, tree_postprocessor=show_as_they_are)
    return data


def import_trimesh() -> Any:
    """Import trimesh, which writes meshes.

    Raises:
        SettingError: It is not installed.
    """
    try:
        import trimesh
    except ImportError as error:
        raise SettingError("--formats glb needs trimesh: pip install 'sapiens2-lit[glb]'") from error
    return trimesh


def texture(image: npt.NDArray[np.uint8]) -> Image.Image:
    """Return an image (H, W, 3) as a picture that is saved as JPEG of quality 95, where trimesh would use PIL's 75."""
    picture = Image.fromarray(image)
    picture.format = "JPEG"
    picture.save = partial(picture.save, quality=95)  # type: ignore[method-assign]
    return picture


def show_as_they_are(tree: dict[str, Any]) -> None:
    """Mark the material as unlit, since its colors are the photograph's."""
    if materials := tree.get("materials"):
        tree["extensionsUsed"] = ["KHR_materials_unlit"]
        materials[0]["extensions"] = {"KHR_materials_unlit": {}}
