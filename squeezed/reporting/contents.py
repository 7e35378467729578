"""The tables and figures of an experiment in the order of reading, with their captions."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from squeezed.data.dataset import Dataset
from squeezed.reporting import tables
from squeezed.reporting.collection import Experiment
from squeezed.reporting.figure_adversarial import draw_adversarial
from squeezed.reporting.figure_cam import METHOD_NAMES, cam_block
from squeezed.reporting.figure_robustness import draw_robustness, robustness_curves
from squeezed.reporting.figure_training import draw_training, training_curves
from squeezed.reporting.figure_tsne import tsne_block
from squeezed.reporting.figures import FigureBlock
from squeezed.reporting.interactive_tsne import interactive_block
from squeezed.reporting.measures import STRONG_ATTACK
from squeezed.reporting.reasons import reasons_for
from squeezed.reporting.table_attack import paper_attack_table, variations_table
from squeezed.reporting.table_cam import cam_table
from squeezed.reporting.table_embedding import embedding_table
from squeezed.reporting.table_gate import gate_table

DRAWN = (
    "robustness",
    "adversarial",
    "tsne",
    "cam_guided_backprop",
    "cam_grad_cam",
    "training",
)
"""The figures that are line art or pictures: each also becomes an SVG file beside the report."""


@dataclass(frozen=True)
class TableBlock:
    """A table with its caption, control and reasons."""

    key: str
    title: str
    table: tables.Table
    caption: str
    notes: Sequence[str] = ()


def tables_of(experiment: Experiment) -> list[TableBlock]:
    """Return the tables that have data."""
    made = [
        (
            "table_1",
            "Table I: accuracy, size and time",
            tables.make_table("table_1", experiment, tables.TABLE_ONE),
            "Every variant exported to ONNX and run by ONNX Runtime with the same threads and "
            "batch size. Small grey figures are the paper's.",
            (),
        ),
        (
            "table_1_more",
            "Table I, continued: where compression shows, and where it does not",
            tables.make_table("table_1_more", experiment, tables.TABLE_ONE_MORE),
            "Sizes after gzip, what is left to store and to multiply, and memory. Below, each "
            "figure of Table I that a variant does not improve, with the reason.",
            reasons_for(experiment),
        ),
        (
            "gate",
            "The gate: is it robust, or only hard to differentiate?",
            gate_table(experiment),
            "Checks that every robustness figure has to pass before it is believed; below each "
            "figure, what it is held against.",
            None,
        ),
        (
            "table_2_paper",
            "Table II: the attack with the paper's settings",
            paper_attack_table("table_2_paper", experiment),
            "Carlini–Wagner L2, 40 steps of Adam at 0.5e-4, the same test images for all variants. "
            "The last rows take the gradient as PyTorch's 8-bit layers hand it back, which is what "
            "the paper's figures look like.",
            (),
        ),
        (
            "table_2_strong",
            "Table II again: an attack that has converged",
            tables.make_table("table_2_strong", experiment, tables.attack_columns(STRONG_ATTACK)),
            "The same attack with a search over its constant and enough steps that success no "
            "longer rises. Judge robustness by the length of the changes, not by the accuracy.",
            (),
        ),
        (
            "variations",
            "How much single settings of the attack matter",
            variations_table("variations", experiment),
            "The paper leaves some settings open; here each is changed alone, for one variant.",
            (),
        ),
        (
            "embedding",
            "Embeddings: scores of the features and their maps",
            embedding_table("embedding", experiment),
            "Output of the first fully connected layer, and its t-SNE map, for the same test "
            "images in all variants. A score means something only above the controls, which need "
            "no network.",
            (),
        ),
        (
            "cam",
            "Scores of the maps (guided backpropagation)",
            cam_table("cam", experiment, "guided_backprop"),
            "The paper's method. A score means something only above the controls, which know no "
            "network; intervals are over images.",
            (),
        ),
        (
            "cam_grad_cam",
            "Scores of the maps (Grad-CAM)",
            cam_table("cam_grad_cam", experiment, "grad_cam"),
            "A second method, weighing the last convolution's channels.",
            (),
        ),
        (
            "training",
            "Training and recovery",
            tables.make_table("training", experiment, tables.TRAINING),
            "What was trained, and the epoch that validation images chose.",
            (),
        ),
    ]
    return [
        TableBlock(key, title, table, caption, table.notes if notes is None else notes)
        for key, title, table, caption, notes in made
        if table is not None
    ]


def figures_of(experiment: Experiment, dataset: Dataset | None) -> list[FigureBlock]:
    """Return the figures that have data; without the data set, those that need no images."""
    made = [
        FigureBlock(
            "robustness",
            "Robust accuracy against the attacker's budget",
            draw_robustness(experiment),
            "How many images stay correctly classified when the attacker may change them by up to "
            "this L2 length (strong attack). The curves say more than any single figure: lower is "
            "easier to fool.",
            robustness_curves(experiment),
        )
    ]
    if dataset is not None:
        made += [
            FigureBlock(
                "adversarial",
                "What fools each variant",
                draw_adversarial(experiment, dataset),
                "Two test images, the nearest image that the strong attack found to fool each "
                "variant, and the difference enlarged (grey: no change). Under each picture the "
                "predicted class with its probability.",
            ),
            tsne_block(experiment, dataset.class_names),
            interactive_block(experiment, dataset),
            *(cam_block(experiment, dataset, method) for method in METHOD_NAMES),
        ]
    made.append(
        FigureBlock(
            "training",
            "Validation accuracy while training",
            draw_training(experiment),
            "Of images held out of the training images; the best epoch is kept. Pruned and ablated "
            "start from the baseline's weights.",
            training_curves(experiment),
        )
    )
    return [
        replace(block, file=f"figures/{experiment.name}/{block.key}.svg")
        if block.key in DRAWN
        else block
        for block in made
        if block.html
    ]
