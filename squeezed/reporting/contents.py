"""Fills the blocks of an experiment: each block's table or drawing, where there are data for it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd

from squeezed.data.dataset import Dataset
from squeezed.reporting.blocks import Block, blocks_of
from squeezed.reporting.columns import PERFORMANCE, STORAGE, TRAINING
from squeezed.reporting.continued import continued_table
from squeezed.reporting.experiment import Experiment
from squeezed.reporting.figure_adversarial import draw_adversarial
from squeezed.reporting.figure_cam import draw_cam, randomisation_test
from squeezed.reporting.figure_exemplars import draw_exemplars, exemplars_of
from squeezed.reporting.figure_reliability import draw_reliability, reliability_points
from squeezed.reporting.figure_robustness import draw_robustness, robustness_curves
from squeezed.reporting.figure_tradeoff import draw_tradeoff
from squeezed.reporting.figure_training import draw_training, training_curves
from squeezed.reporting.figure_tsne import draw_tsne, tsne_points
from squeezed.reporting.gallery import gallery
from squeezed.reporting.harm_columns import CALIBRATION, CHANGES, CORRUPTIONS, SEEDS, UNFAMILIAR
from squeezed.reporting.interactive_tsne import interactive_tsne
from squeezed.reporting.lens import Lens
from squeezed.reporting.reasons import reasons_for
from squeezed.reporting.side_by_side import side_by_side
from squeezed.reporting.table_attack import attack_table, variations_table
from squeezed.reporting.table_by_row import classes_table, corruption_kinds_table
from squeezed.reporting.table_cam import cam_table
from squeezed.reporting.table_embedding import embedding_table
from squeezed.reporting.table_engines import engines_table
from squeezed.reporting.table_gate import gate_table
from squeezed.reporting.table_layers import layers_table
from squeezed.reporting.table_transfer import transfer_table
from squeezed.reporting.tables import Table, intervals_in_words, make_table


@dataclass(frozen=True)
class Filled:
    """A block with what it shows."""

    block: Block
    caption: str
    """The block's, with what the results and the lenses add."""
    table: Table | None = None
    drawing: str | None = None
    data: pd.DataFrame | None = None
    """The figures that the block shows."""
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Sources:
    """What blocks are filled from."""

    experiment: Experiment
    data: Dataset | None
    """Without it the blocks that show images stay empty."""
    classes: Sequence[str]
    """The names of the classes in words."""

    @property
    def class_words(self) -> dict[str, str]:
        """The words for each of the data set's class names."""
        return dict(zip(self.data.class_names, self.classes, strict=True)) if self.data else {}

    lenses: Sequence[Lens]


TABLES: dict[str, Callable[[Block, Sources], Table | None]] = {
    "variants": lambda b, s: side_by_side(b.key, s.experiment),
    "performance": lambda b, s: make_table(b.key, s.experiment, PERFORMANCE, s.lenses),
    "changes": lambda b, s: make_table(b.key, s.experiment, CHANGES),
    "continued": lambda b, s: continued_table(b.key, s.experiment),
    "calibration": lambda b, s: make_table(b.key, s.experiment, CALIBRATION),
    "classes": lambda b, s: classes_table(b.key, s.experiment, s.class_words),
    "corruptions": lambda b, s: make_table(b.key, s.experiment, CORRUPTIONS),
    "corruption_kinds": lambda b, s: corruption_kinds_table(b.key, s.experiment),
    "unfamiliar": lambda b, s: make_table(b.key, s.experiment, UNFAMILIAR),
    "seeds": lambda b, s: make_table(b.key, s.experiment, SEEDS),
    "storage": lambda b, s: make_table(b.key, s.experiment, STORAGE, s.lenses),
    "engines": lambda b, s: engines_table(b.key, s.experiment),
    "layers": lambda b, s: layers_table(b.key, s.experiment),
    "gate": lambda b, s: gate_table(s.experiment),
    "transfer": lambda b, s: transfer_table(b.key, s.experiment),
    "attack": lambda b, s: attack_table(b.key, s.experiment, b.subject, s.lenses),
    "variations": lambda b, s: variations_table(b.key, s.experiment),
    "embedding": lambda b, s: embedding_table(b.key, s.experiment),
    "cam": lambda b, s: cam_table(b.key, s.experiment, b.subject),
    "training": lambda b, s: make_table(b.key, s.experiment, TRAINING),
}
"""What makes each table."""

DRAWINGS: dict[str, Callable[[Block, Sources], str | None]] = {
    "tradeoff": lambda b, s: draw_tradeoff(s.experiment),
    "reliability": lambda b, s: draw_reliability(s.experiment),
    "robustness": lambda b, s: draw_robustness(s.experiment),
    "adversarial": lambda b, s: draw_adversarial(s.experiment, s.data, s.classes),
    "gallery": lambda b, s: gallery(s.experiment, s.data, s.classes),
    "exemplars": lambda b, s: draw_exemplars(s.experiment, s.data, s.classes),
    "tsne": lambda b, s: draw_tsne(s.experiment, s.classes),
    "tsne_interactive": lambda b, s: interactive_tsne(s.experiment, s.data, s.classes),
    "cam_maps": lambda b, s: draw_cam(s.experiment, s.data, s.classes, b.subject),
    "training_curves": lambda b, s: draw_training(s.experiment),
}
"""What draws each figure."""

DATA: dict[str, Callable[[Experiment], pd.DataFrame]] = {
    "reliability": reliability_points,
    "robustness": robustness_curves,
    "exemplars": exemplars_of,
    "tsne": tsne_points,
    "training_curves": training_curves,
}
"""The points of figures that show more than a table does."""

OWN_INTERVALS = ("variants", "changes", "classes", "transfer")
"""Tables whose captions say what their intervals are over."""


def fill(sources: Sources) -> list[Filled]:
    """Return the blocks that have data, in the order of reading."""
    experiment = sources.experiment
    filled = [
        _fill(block, sources) for block in blocks_of(experiment.attacks, experiment.map_methods)
    ]
    return [one for one in filled if one.table is not None or one.drawing]


def _fill(block: Block, sources: Sources) -> Filled:
    maker, experiment = block.maker or block.key, sources.experiment
    remarks = [_n_of(block, experiment)]
    remarks += [lens.remark(experiment, block.key) for lens in sources.lenses]
    if block.kind == "tables":
        table = TABLES[maker](block, sources)
        notes = [*(table.notes if table else ())]
        if maker == "storage":
            notes += reasons_for(experiment)
        remarks.insert(0, _told_of_results(experiment, block.key))
        if table and block.key not in OWN_INTERVALS:
            remarks.append(intervals_in_words(table))
        caption = " ".join(filter(None, [block.caption, *remarks]))
        return Filled(block, caption, table, None, table.frame if table else None, notes)
    if maker == "cam_maps":
        remarks.insert(0, randomisation_test(experiment, block.subject))
    caption = " ".join(filter(None, [block.caption, *remarks]))
    data = DATA[block.key](experiment) if block.key in DATA else None
    return Filled(block, caption, None, DRAWINGS[maker](block, sources), data)


COUNTED = {
    "tradeoff": ("evaluation", "n_images"),
    "reliability": ("evaluation", "n_images"),
    "gallery": ("evaluation", "n_images"),
    "exemplars": ("evaluation", "n_images"),
    "storage": ("evaluation", "n_images"),
    "engines": ("evaluation", "n_images"),
    "gate": ("diagnostics", "n_attackable"),
    "transfer": ("diagnostics", "n_attackable"),
    "variations": ("attack_variations", "n_images"),
    "embedding": ("embedding", "n_images"),
    "tsne": ("tsne", "n_images"),
    "tsne_interactive": ("tsne", "n_images"),
    "cam": ("cam", "n_images"),
    "cam_maps": ("cam", "n_images"),
}
"""Whose images a block is about, by what makes it: the analysis, and its field that counts them."""


def _n_of(block: Block, experiment: Experiment) -> str:
    """Return how many images a block is about, for its caption; nothing where none are."""
    analysis, field = COUNTED.get(block.maker or block.key, ("", "n_images"))
    if block.maker == "attack":
        analysis = f"attack_{block.subject}"
    if block.key in ("robustness", "adversarial"):
        analysis, field = experiment.strong_attack or "", "n_attackable"
    counts = [
        n for v in experiment.variants for n in experiment.values(v, analysis, field).values()
    ]
    if not counts:
        return ""
    low, high = int(min(counts)), int(max(counts))
    return f"n = {low:,} test images." if low == high else f"n = {low:,} to {high:,} test images."


def _told_of_results(experiment: Experiment, key: str) -> str:
    """Return what a caption says that only the results know."""
    if key == "unfamiliar":
        name = experiment.any_value(key, "unfamiliar_dataset")
        n = experiment.any_value(key, "n_unfamiliar_images")
        easy = experiment.any_value(key, "unfamiliar_source_kind") == "photographs"
        # Two scenes in colour look nothing like any data set: it is not the field's test.
        what = ", parts of two photographs: an easy set" if easy else ""
        return f"Here: {n:,} images of “{name}”{what}." if name and n else ""
    if key == "corruptions":
        parameters = experiment.any_value(key, "corruption_parameters")
        kinds = experiment.any_value(key, "corruptions")
        return (
            f"Here: {kinds} corruptions with the parameters of {parameters}." if parameters else ""
        )
    return ""
