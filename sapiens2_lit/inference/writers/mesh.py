"""Point maps as surfaces: GLB, the binary form of glTF 2.0 (registry.khronos.org/glTF/specs/2.0).

A header, a JSON text and a buffer: not enough to need a library, and those that write it cannot say that colors are
to be shown as they are (KHR_materials_unlit).
"""

import json
import struct
from typing import Any, ClassVar

import cv2
import numpy as np
import numpy.typing as npt

from sapiens2_lit.inference.prediction import Prediction, known
from sapiens2_lit.inference.sources import Frame
from sapiens2_lit.inference.writers.base import BytesWriter, in_axes

JUMP = 0.03  # of the depth: neighbours farther apart than this are not of one surface
MOST_VERTICES = 1_000_000

_FLOAT, _UINT = 5126, 5125  # component types
_VERTICES, _INDICES = 34962, 34963  # what a part of the buffer is for


class MeshGlb(BytesWriter):
    """The pixel grid as triangles, cut where depth jumps, with the image as texture.

    Always in glTF's frame, y up and z towards the viewer, in metres. Images of more than a million pixels are meshed on
    a coarser grid; the texture stays whole.

    Args:
        jump: how far, as a share of the nearest depth, the corners of a triangle may lie apart in depth.
    """

    name: ClassVar[str] = "glb"

    def __init__(self, head: str, key: str, jump: float = JUMP) -> None:
        super().__init__(head, key)
        self.jump = jump

    def encode(self, prediction: Prediction, frame: Frame) -> bytes:
        points = self.map_of(prediction)
        step = grid_step(points.shape[0], points.shape[1])
        grid = points[::step, ::step]
        triangles, used = triangulate(grid, step * self.jump)
        height, width = points.shape[:2]
        v, u = np.divmod(used, grid.shape[1])
        # texture coordinates run over the borders of the image, pixel centres lie half a pixel inside
        coordinates = np.stack([(step * u + 0.5) / width, (step * v + 0.5) / height], axis=1)
        positions = in_axes(grid.reshape(-1, 3)[used], "opengl")
        return glb(positions, coordinates.astype(np.float32), triangles, encode_texture(frame.image))

    def about(self, prediction: Prediction) -> dict[str, Any]:
        return {"unit": "metres", "frame": "opengl", "unknown": "left out", "jump": self.jump}


def grid_step(height: int, width: int) -> int:
    """Every how many pixels a vertex stands."""
    return max(1, int(np.ceil(np.sqrt(height * width / MOST_VERTICES))))


def triangulate(
    points: npt.NDArray[np.floating], jump: float
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
    """Two triangles for each four neighbours of a grid of points (h, w, 3), where all three corners are known.

    Seen from the camera the corners go around counterclockwise, which glTF calls the front.

    Args:
        jump: triangles whose corners' depths differ by more than this share of the nearest are left out.

    Returns:
        (T, 3) indices into the vertices used, and those vertices (N,), as indices into the grid.
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


def encode_texture(image: npt.NDArray[np.uint8]) -> bytes:
    done, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
    assert done
    return data.tobytes()


def glb(
    positions: npt.NDArray[np.float32],
    coordinates: npt.NDArray[np.float32],
    triangles: npt.NDArray[np.uint32],
    texture: bytes,
) -> bytes:
    """A GLB file of one textured mesh.

    Args:
        positions: (N, 3) metres, glTF's frame.
        coordinates: (N, 2) on the texture, 0..1 from its left upper corner.
        triangles: (T, 3).
        texture: a jpeg.
    """
    parts = [positions.tobytes(), coordinates.tobytes(), triangles.tobytes(), texture]
    ends = np.cumsum([_padded(len(part)) for part in parts]).tolist()
    buffer = b"".join(part.ljust(_padded(len(part)), b"\0") for part in parts)
    targets = (_VERTICES, _VERTICES, _INDICES, None)
    views = [
        {"buffer": 0, "byteOffset": start, "byteLength": len(part)} | ({"target": target} if target else {})
        for part, start, target in zip(parts, [0, *ends[:-1]], targets, strict=True)
    ]
    extent = (
        {"min": positions.min(axis=0).tolist(), "max": positions.max(axis=0).tolist()}
        if len(positions)
        else {}
    )
    accessors = [
        {"bufferView": 0, "componentType": _FLOAT, "count": len(positions), "type": "VEC3", **extent},
        {"bufferView": 1, "componentType": _FLOAT, "count": len(coordinates), "type": "VEC2"},
        {"bufferView": 2, "componentType": _UINT, "count": triangles.size, "type": "SCALAR"},
    ]
    scene = {
        "asset": {"version": "2.0", "generator": "sapiens2-lit"},
        "extensionsUsed": ["KHR_materials_unlit"],
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [
            {"primitives": [{"attributes": {"POSITION": 0, "TEXCOORD_0": 1}, "indices": 2, "material": 0}]}
        ],
        "materials": [
            {
                "pbrMetallicRoughness": {"baseColorTexture": {"index": 0}, "metallicFactor": 0},
                "doubleSided": True,
                "extensions": {"KHR_materials_unlit": {}},
            }
        ],
        "textures": [{"source": 0}],
        "images": [{"bufferView": 3, "mimeType": "image/jpeg"}],
        "accessors": accessors,
        "bufferViews": views,
        "buffers": [{"byteLength": len(buffer)}],
    }
    return _container(scene if len(triangles) else _empty_scene(), buffer if len(triangles) else b"")


def _empty_scene() -> dict[str, Any]:
    """glTF has no empty meshes: a scene with nothing in it."""
    return {"asset": {"version": "2.0", "generator": "sapiens2-lit"}, "scene": 0, "scenes": [{}]}


def _container(scene: dict[str, Any], buffer: bytes) -> bytes:
    text = json.dumps(scene).encode()
    text = text.ljust(_padded(len(text)), b" ")
    chunks = struct.pack("<II", len(text), 0x4E4F534A) + text
    if buffer:
        chunks += struct.pack("<II", len(buffer), 0x004E4942) + buffer
    return struct.pack("<III", 0x46546C67, 2, 12 + len(chunks)) + chunks


def _padded(length: int) -> int:
    """Up to a multiple of four bytes."""
    return -(-length // 4) * 4
