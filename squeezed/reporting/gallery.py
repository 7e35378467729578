"""The images whose prediction a variant changes, to look through: before, after, where it looked.

One fragment of HTML; without scripts it shows all that it has.
"""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from squeezed.data.dataset import Dataset
from squeezed.explain.selection import CHANGED_AT_MOST
from squeezed.reporting.experiment import Experiment
from squeezed.reporting.figure_cam import HEAT, CamMaps, cam_maps, scaled
from squeezed.reporting.thumbnails import sprite_of, thumbnails_of
from squeezed.reporting.vocabulary import in_words

ZOOM = 64
"""Side of a picture on the page, in CSS pixels."""
KINDS = {"broken": "broken", "fixed": "fixed", "other": "wrong in another way"}


@dataclass(frozen=True)
class Changed:
    """One image that a variant classifies otherwise than the baseline does."""

    variant: str
    index: int
    label: int
    before: int
    after: int
    sure_before: float
    """The probability of the predicted class."""
    sure_after: float

    @property
    def kind(self) -> str:
        """`broken`, `fixed`, or `other`: wrong before and after."""
        if self.before == self.label:
            return "broken"
        return "fixed" if self.after == self.label else "other"


def changed_images(experiment: Experiment) -> dict[str, list[Changed]]:
    """Return the changed images of each variant, of the first seed that has predictions.

    Those of which the variant is surest come first; they are those that have activation maps.
    """
    for seed in experiment.seeds:
        base = experiment.frame(seed, "baseline", "predictions.csv")
        if base is None:
            continue
        found = {}
        for variant in experiment.compressed:
            own = experiment.frame(seed, variant, "predictions.csv")
            if own is not None:
                found[variant] = _changed(variant, base, own)
        return found
    return {}


def gallery(experiment: Experiment, data: Dataset | None, classes: Sequence[str]) -> str | None:
    """Return the fragment, or None where nothing changed or there are no images.

    Args:
        experiment: whose predictions, and activation maps where the same images have them.
        data: holds the images.
        classes: the names of the classes in words, by label.
    """
    found = changed_images(experiment)
    shown = _in_turn(found)
    if data is None or not shown:
        return None
    indices = sorted({one.index for one in shown})
    pictures = list(thumbnails_of(data, np.array(indices)))
    place = {index: number for number, index in enumerate(indices)}
    maps = cam_maps(experiment)
    method = next(iter(experiment.map_methods), "")
    cards = []
    for one in shown:
        places = [place[one.index]]
        for heat in _maps_of(maps, method, one, pictures[0].shape[:2]):
            places.append(len(pictures))
            pictures.append(heat)
        cards.append((one, places))
    sprite, columns = sprite_of(np.stack(pictures))
    rows = -(-len(pictures) // columns)
    height, width = pictures[0].shape[:2]
    zoom = ZOOM / max(height, width)
    style = (
        f".gallery i{{width:{width * zoom:.0f}px;height:{height * zoom:.0f}px;"
        f"background-image:url({sprite});"
        f"background-size:{width * zoom * columns:.0f}px {height * zoom * rows:.0f}px}}"
    )
    total = sum(len(some) for some in found.values())
    element = html.escape(f"gallery-{experiment.name}", quote=True)
    counted = f"{len(shown)} of {total}" if total > len(shown) else f"all {total}"
    return (
        f'<div class="gallery" id="{element}"><style>{style.replace(".gallery", "#" + element)}'
        f'</style>{_filters(shown, classes, counted)}<div class="cards">'
        + "".join(
            _card(one, places, columns, zoom, (height, width), classes) for one, places in cards
        )
        + "</div></div>"
    )


def _changed(variant: str, base: pd.DataFrame, own: pd.DataFrame) -> list[Changed]:
    both = own.merge(base, on="index", suffixes=("", "_before"))
    both = both[both["prediction"] != both["prediction_before"]]
    both = both.sort_values(["confidence", "index"], ascending=[False, True])
    return [
        Changed(
            variant,
            int(row["index"]),
            int(row["label"]),
            int(row["prediction_before"]),
            int(row["prediction"]),
            float(row["confidence_before"]),
            float(row["confidence"]),
        )
        for _, row in both.iterrows()
    ]


def _in_turn(found: Mapping[str, Sequence[Changed]]) -> list[Changed]:
    """Choose as many of each variant as of the others, and order them by variant."""
    queues = {variant: list(some) for variant, some in found.items()}
    chosen: list[Changed] = []
    while any(queues.values()) and len(chosen) < CHANGED_AT_MOST:
        for queue in queues.values():
            if queue and len(chosen) < CHANGED_AT_MOST:
                chosen.append(queue.pop(0))
    order = list(found)
    return sorted(chosen, key=lambda one: order.index(one.variant))


def _maps_of(
    maps: CamMaps | None, method: str, one: Changed, size: tuple[int, ...]
) -> list[NDArray[np.uint8]]:
    """Return the baseline's and the variant's map of an image, coloured; nothing without both."""
    arrays = maps.variants.get(one.variant, {}) if maps else {}
    names = [f"changed_baseline_{method}", f"changed_{method}"]
    positions = np.flatnonzero(arrays.get("changed_indices", np.array([])) == one.index)
    if not len(positions) or not all(name in arrays for name in names):
        return []
    found = []
    for name in names:
        heat = mpl.colormaps[HEAT](scaled(arrays[name][positions[0]]))[..., :3]
        picture = Image.fromarray(np.round(255 * heat).astype(np.uint8))
        found.append(np.asarray(picture.resize((size[1], size[0]), Image.Resampling.BILINEAR)))
    return found


def _filters(shown: Sequence[Changed], classes: Sequence[str], counted: str) -> str:
    variants = {one.variant: in_words(one.variant) for one in shown}
    kinds = {key: words for key, words in KINDS.items() if any(o.kind == key for o in shown)}
    labels = {str(label): classes[label] for label in sorted({one.label for one in shown})}
    return (
        '<div class="filters">'
        + "".join(
            f'<label>{name} <select data-filter="{key}"><option value="">all</option>'
            + "".join(
                f'<option value="{html.escape(value, quote=True)}">{html.escape(words)}</option>'
                for value, words in options.items()
            )
            + "</select></label>"
            for key, name, options in (
                ("variant", "Variant", variants),
                ("kind", "Change", kinds),
                ("label", "True class", labels),
            )
        )
        + f"<span>Shown: {counted} changed predictions.</span></div>"
    )


def _card(
    one: Changed,
    places: Sequence[int],
    columns: int,
    zoom: float,
    size: tuple[int, int],
    classes: Sequence[str],
) -> str:
    height, width = size
    names = [classes[label] for label in (one.before, one.after, one.label)]
    said = ["the image", "where the baseline looks", f"where {in_words(one.variant)} looks"]
    pictures = "".join(
        f'<i role="img" aria-label="{html.escape(words, quote=True)}" style="background-position:'
        f'{-(place % columns) * width * zoom:.0f}px {-(place // columns) * height * zoom:.0f}px">'
        "</i>"
        for place, words in zip(places, said, strict=False)
    )
    help_ = html.escape(
        f"{in_words(one.variant)}, test image {one.index}: {names[0]} ({one.sure_before:.0%}) "
        f"became {names[1]} ({one.sure_after:.0%}); true class {names[2]}: {KINDS[one.kind]}",
        quote=True,
    )
    before, after = html.escape(names[0]), html.escape(names[1])
    return (
        f'<figure tabindex="0" class="{one.kind}" data-variant="{html.escape(one.variant, True)}" '
        f'data-kind="{one.kind}" data-label="{one.label}" data-help="{help_}">{pictures}'
        f"<figcaption>{before} {one.sure_before:.0%} → {after} {one.sure_after:.0%}"
        f"<small>{html.escape(in_words(one.variant))}</small></figcaption>"
        "</figure>"
    )
