"""Small pictures of images, and many of them in one file that a page carries."""

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from squeezed.data.dataset import Dataset

THUMBNAIL = 32
"""Side of a thumbnail in pixels; smaller images stay as they are."""
MOST_SPRITE_BYTES = 1_500_000
_READ_AT_A_TIME = 100


def thumbnails_of(dataset: Dataset, indices: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Return small pictures, shape (n, h, w, 3)."""
    height, width = dataset.image_size
    scale = min(1.0, THUMBNAIL / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = []
    for images, _ in dataset.test.batches(_READ_AT_A_TIME, indices):
        for pixels in np.round(images.transpose(0, 2, 3, 1) * 255).astype(np.uint8):
            picture = Image.fromarray(pixels)
            if picture.size != size:
                picture = picture.resize(size, Image.Resampling.LANCZOS)
            small.append(np.asarray(picture))
    return np.stack(small)


def sprite_of(thumbnails: NDArray[np.uint8]) -> tuple[str, int]:
    """Put all thumbnails into one picture: its data URI, and how many are in a row."""
    n, height, width, channels = thumbnails.shape
    columns = int(np.ceil(np.sqrt(n)))
    rows = -(-n // columns)
    cells = np.zeros((rows * columns, height, width, channels), dtype=np.uint8)
    cells[:n] = thumbnails
    sheet = cells.reshape(rows, columns, height, width, channels).transpose(0, 2, 1, 3, 4)
    picture = Image.fromarray(sheet.reshape(rows * height, columns * width, channels))
    for quality in (80, 60, 40, 20):
        buffer = io.BytesIO()
        picture.save(buffer, format="WEBP", quality=quality, method=4)
        if buffer.tell() <= MOST_SPRITE_BYTES:
            break
    encoded = base64.b64encode(buffer.getvalue()).decode()
    return f"data:image/webp;base64,{encoded}", columns
