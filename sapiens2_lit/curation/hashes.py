"""Compute perceptual hashes, whose bits survive when a picture is encoded again, resized or cropped a little."""

import cv2
import numpy as np
import numpy.typing as npt

SIDE = 64  # of the gray picture whose low frequencies are hashed
BITS, LONG_BITS = 64, 256

Bits = npt.NDArray[np.uint8]


def perceptual_hashes(image: npt.NDArray[np.uint8]) -> tuple[str, str]:
    """Hash RGB uint8 (H, W, 3) twice, to 64 and to 256 bits, as hexadecimal digits.

    The bits tell which of the 8 x 8, or 16 x 16, lowest frequencies of the discrete cosine transform lie above their
    median (pHash). The short hash finds candidates, the long one decides.
    """
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(gray, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    waves = np.asarray(cv2.dct(small.astype(np.float32)), dtype=np.float32)
    return _hash(waves, 8), _hash(waves, 16)


def _hash(waves: npt.NDArray[np.float32], side: int) -> str:
    low = waves[:side, :side].ravel()
    return np.packbits(low > np.median(low[1:])).tobytes().hex()  # the first is the brightness


def to_bytes(hashes: list[str], bits: int) -> Bits:
    """Return hexadecimal hashes as bytes, (N, BITS / 8).

    Raises:
        ValueError: They are not hexadecimal digits of this many bits.
    """
    joined = bytes.fromhex("".join(hashes))
    return np.frombuffer(joined, dtype=np.uint8).reshape(len(hashes), bits // 8)
