"""Where the object is in a picture, as far as that is known."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from squeezed.foundation.errors import UserError, first_line

KINDS = ("none", "ink", "centre", "masks")

Masks = NDArray[np.bool_]


def object_masks(
    kind: str,
    images: NDArray[np.float32],
    indices: NDArray[np.integer],
    *,
    test_images: int,
    masks_path: str | Path | None = None,
) -> Masks | None:
    """Return which pixels show the object, shape (n, H, W), or None where nobody knows.

    Args:
        kind: `none`; `ink`: brighter than half the picture's range (white on black digits);
            `centre`: the middle half of the width at full height, about where the digit of a
            cropped SVHN picture is; `masks`: the user's own.
        images: shape (n, 3, H, W), in [0, 1].
        indices: of `images` in the test split.
        test_images: how many images the test split has.
        masks_path: an .npy file of shape (test images, H, W), nonzero on the object.

    Raises:
        UserError: if the masks are missing or do not fit the test images.
    """
    if kind == "none":
        return None
    n, _, height, width = images.shape
    if kind == "ink":
        brightness = images.mean(axis=1)
        low = brightness.min(axis=(1, 2), keepdims=True)
        high = brightness.max(axis=(1, 2), keepdims=True)
        return np.asarray(brightness > (low + high) / 2)
    if kind == "centre":
        mask = np.zeros((n, height, width), dtype=bool)
        mask[:, :, width // 4 : width - width // 4] = True
        return mask
    if kind != "masks":
        raise UserError(f"cam.object is {kind!r}; choose from {', '.join(KINDS)}")
    return read_masks(masks_path, (test_images, height, width))[indices] != 0


def read_masks(path: str | Path | None, expected: tuple[int, int, int]) -> NDArray[np.generic]:
    """Return the user's masks of all test images, read when they are needed.

    Args:
        path: `cam.masks`, an .npy file, nonzero on the object.
        expected: its shape: test images, height, width.

    Raises:
        UserError: if the masks are missing or do not fit the test images.
    """
    if path is None:
        raise UserError("cam.object is 'masks', but cam.masks names no file; give an .npy file")
    try:
        masks = np.load(path, allow_pickle=False, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise UserError(
            f"cam.masks: {path} is not a readable .npy file ({first_line(error)})"
        ) from error
    if not isinstance(masks, np.ndarray):
        raise UserError(f"cam.masks: {path} holds several arrays; give an .npy file of one")
    if masks.shape != expected:
        raise UserError(
            f"cam.masks: {path} has shape {masks.shape}, but the test images need {expected}"
        )
    return masks
