"""Two models and the images that both are asked about, opened together so that they fit."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from squeezed.comparison.pictures import KEPT_SHARE, Fit, Pictures
from squeezed.foundation.errors import UserError
from squeezed.graphs.foreign.core import Core
from squeezed.graphs.foreign.model import ForeignModel, open_foreign
from squeezed.graphs.foreign.opening import core_of
from squeezed.graphs.foreign.preprocessing import Preprocessing
from squeezed.graphs.foreign.signature import Layout

SAMPLE = 32
"""Images by which probabilities are told from logits."""
SIZES_LOOKED_AT = 32


@dataclass(frozen=True)
class Reading:
    """How images become what the models see, as the user says it."""

    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    size: tuple[int, int] | None = None
    """Height and width; None: the models' own."""
    resize: int | None = None
    """The shorter side before cropping; None: chosen by `size` where the images differ from it."""
    interpolation: str = "bilinear"
    layout: Layout = "auto"
    outputs: str | None = None
    """A file of the outputs' names, or `background_first`."""


def reading_of(
    *,
    size: int | tuple[int, int] | None,
    resize: int | None,
    interpolation: str,
    range: tuple[float, float],
    mean: float | Sequence[float],
    std: float | Sequence[float],
    channel_order: Literal["RGB", "BGR"],
    layout: Layout,
    outputs: str | Path | None,
) -> Reading:
    """Return what the keywords of `squeezed.comparison.comparison.compare` say of the images."""
    return Reading(
        Preprocessing(
            (float(range[0]), float(range[1])), _numbers(mean), _numbers(std), channel_order
        ),
        (size, size) if isinstance(size, int) else size,
        resize,
        interpolation,
        layout,
        None if outputs is None else str(outputs),
    )


def open_together(
    paths: list[Path], pictures: Pictures, reading: Reading, threads: int
) -> tuple[list[ForeignModel], list[str]]:
    """Open models for the same images, and set how these are cropped.

    Returns:
        The models, and what was decided about the images, a sentence each.

    Raises:
        UserError: if one cannot be opened, or does not fit the images.
    """
    cores = [core_of(path, threads, reading.layout) for path in paths]
    size, notes = _fit(cores, pictures, reading)
    sample = np.unique(np.linspace(0, len(pictures) - 1, SAMPLE).astype(int))
    images = pictures.images(sample)
    models = [
        open_foreign(
            path,
            reading.preprocessing,
            pictures.class_names,
            size,
            images,
            labels=reading.outputs,
            layout=reading.layout,
            threads=threads,
            core=core,
        )
        for path, core in zip(paths, cores, strict=True)
    ]
    first = models[0].outputs
    for path, model in zip(paths, models, strict=True):
        if len(model.outputs.order) != len(first.order):
            raise UserError(
                f"{path} has {len(model.outputs.order):,} classes, {paths[0]} has "
                f"{len(first.order):,}: they cannot be compared"
            )
    if pictures.labels is not None and pictures.class_names is not None:
        _check_labels(pictures, models[0], paths[0])
    return models, notes


def _numbers(values: float | Sequence[float]) -> tuple[float, ...]:
    return (float(values),) if isinstance(values, int | float) else tuple(map(float, values))


def _check_labels(pictures: Pictures, model: ForeignModel, path: Path) -> None:
    assert pictures.class_names is not None
    if len(pictures.class_names) > len(model.outputs.order):
        raise UserError(
            f"the images have {len(pictures.class_names):,} classes, {path} only "
            f"{len(model.outputs.order):,}"
        )


def _fit(
    cores: list[Core], pictures: Pictures, reading: Reading
) -> tuple[tuple[int, int], list[str]]:
    fixed = {core.name: core.signature.size for core in cores if core.signature.size is not None}
    if len(set(fixed.values())) > 1:
        raise UserError(
            "the models take images of different sizes: "
            + ", ".join(f"{name} {h} × {w}" for name, (h, w) in fixed.items())
        )
    own = next(iter(fixed.values()), None)
    if own is not None and reading.size is not None and own != reading.size:
        name = next(iter(fixed))
        raise UserError(
            f"{name} takes images of {own[0]} × {own[1]} pixels only, not of "
            f"{reading.size[0]} × {reading.size[1]}; leave the size out"
        )
    sizes = pictures.sizes(SIZES_LOOKED_AT)
    wanted = own or reading.size
    if wanted is None:
        if len(sizes) > 1:
            raise UserError(
                f"{cores[0].name} takes images of any size, and these differ: give the size that "
                "all are brought to"
            )
        return next(iter(sizes)), []
    if sizes == {wanted} and reading.resize is None:
        pictures.fit = Fit(wanted)
        return wanted, []
    if pictures.is_array:
        height, width = next(iter(sizes))
        raise UserError(
            f"{cores[0].name} takes images of {wanted[0]} × {wanted[1]} pixels, the array's have "
            f"{height} × {width}: resize and crop them before"
        )
    resize = reading.resize or round(min(wanted) / KEPT_SHARE)
    if resize < min(wanted):
        raise UserError(
            f"images are resized to {resize} pixels, of which no {wanted[0]} × {wanted[1]} can be "
            "cropped"
        )
    pictures.fit = Fit(wanted, resize, reading.interpolation)
    return wanted, [
        f"Images were resized to {resize} pixels at the shorter side ({reading.interpolation}), "
        f"and the middle {wanted[0]} × {wanted[1]} was kept."
    ]
