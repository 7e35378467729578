"""The blocks of the report: what each table and figure is called, what it says, where it goes.

Written once, for the page, the files beside it, the rule's outputs and `snakemake --report`. Loads
no library: the workflow reads it while it builds the graph.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

MAP_METHODS = {"guided_backprop": "guided backpropagation", "grad_cam": "Grad-CAM"}
ATTACK_METHODS = {
    "carlini_wagner": "Carlini–Wagner L2",
    "ddn": "Decoupled direction and norm (DDN, L2)",
    "ensemble": "The nearer of what DDN and Carlini–Wagner (L2) find, brought to the boundary",
}


SCREENS = {
    "variants": "Every variant beside the baseline",
    "changed": "What changed",
    "robust": "How robust it is",
    "sees": "How it sees",
}
"""What the page shows before all that is folded, by key: the headings."""


@dataclass(frozen=True)
class Block:
    """A table or a figure of an experiment."""

    key: str
    kind: str
    """`tables` (a CSV), `figures` (an SVG), or `page` (in the page alone)."""
    title: str
    caption: str
    maker: str = ""
    """What makes it, a name in `contents`; left out: its key."""
    subject: str = ""
    """The attack or the method that it is about."""
    screen: str = ""
    """The screen of the page that shows it, of `SCREENS`; left out: folded, with all the rest."""

    def file(self, experiment: str) -> str:
        """Return its file, relative to the report."""
        return f"{self.kind}/{experiment}/{self.key}.{'csv' if self.kind == 'tables' else 'svg'}"

    def caption_file(self, experiment: str) -> str:
        """Return the file of its caption for `snakemake --report`, relative to the report."""
        return f"captions/{experiment}/{self.kind}/{self.key}.rst"


def blocks_of(attacks: Mapping[str, Mapping[str, Any]], methods: Iterable[str]) -> list[Block]:
    """Return the blocks of an experiment in the order of reading.

    Args:
        attacks: the configured attacks with their settings (empty where these are not known).
        methods: how activation maps are made, of `MAP_METHODS`.
    """
    methods = list(methods)
    return [
        Block(
            "variants",
            "tables",
            SCREENS["variants"],
            "Green is better than the baseline and red is worse, the deeper the larger the "
            "difference; what is not coloured cannot be told from it: the 95\u00a0% interval of "
            "the difference includes none. Brackets are 95\u00a0% intervals; headings say over "
            "what.",
            screen="variants",
        ),
        Block(
            "performance",
            "tables",
            "Accuracy, size and time",
            "Every variant deployed and run by the same engine with the same threads and batch "
            "size.",
        ),
        Block(
            "changes",
            "tables",
            "What else changed",
            "What accuracy and size do not show: predictions broken and fixed, the class that "
            "loses most, confidence, corrupted images, images of none of the classes. Brackets are "
            "95 % intervals; the sections folded below say over which images, and have the rest.",
        ),
        Block(
            "continued",
            "tables",
            "Against a continued baseline",
            "What a variant gains or loses beyond the epochs it was trained on: its difference "
            "from the same parent trained on just as long, with the same loss and settings, and "
            "not compressed.",
        ),
        *_harms(),
        Block(
            "storage",
            "tables",
            "Where compression shows, and where it does not",
            "Sizes after gzip, what is left to store and to multiply, and memory. Below, each "
            "figure that a variant does not improve, with the reason.",
        ),
        Block(
            "engines",
            "tables",
            "What the engines really execute",
            "How many layers with weights run in 8 bits, what other engines make of the same file, "
            "and how often they predict another class.",
        ),
        Block(
            "layers",
            "tables",
            "What became of each layer",
            "Of files that other tools made: how each layer's weights are stored → what the engine "
            "executes, and how far its output parts from the baseline's on the same test images "
            "(root of the mean square, as a share of the baseline's).",
        ),
        Block(
            "gate",
            "tables",
            "The gate: is it robust, or only hard to differentiate?",
            "Checks that every robustness figure has to pass before it is believed; below each "
            "figure, what it is held against.",
            screen="robust",
        ),
        *(_attack(name, settings) for name, settings in attacks.items()),
        Block(
            "variations",
            "tables",
            "How much single settings of the attack matter",
            "Each setting is changed alone, for one variant.",
        ),
        Block(
            "embedding",
            "tables",
            "Scores of the features and their maps",
            "Features of the same test images in all variants, and their t-SNE maps. A score means "
            "something only above the controls, which need no network.",
        ),
        *(
            Block(
                f"cam_{method}",
                "tables",
                f"Scores of the activation maps ({_method(method)})",
                "More is better. Insertion and deletion (Petsiuk et al. 2018) are net of a random "
                "map on the same network, at probabilities calibrated by temperature, so that a "
                "network's confidence alone moves neither; ROAD (Rong et al. 2022) counts "
                "decisions alone. A score means something only above the controls, which know no "
                "network.",
                "cam",
                method,
            )
            for method in methods
        ),
        Block(
            "training",
            "tables",
            "Training and recovery",
            "What was trained, and the epoch that validation images chose. Test images are read "
            "once, for the results.",
        ),
        Block(
            "tradeoff",
            "figures",
            "What accuracy costs",
            "Accuracy against size, speed and robustness. Variants that differ in one number of "
            "their recipe are joined, from their parent on; lines are 95 % intervals.",
        ),
        Block(
            "reliability",
            "figures",
            "Right as often as sure?",
            "Accuracy against confidence in bins of 1/15 (those of fewer than 5 images are left "
            "out), without temperature scaling. Below the dashed line a network is surer than it "
            "is right.",
        ),
        Block(
            "robustness",
            "figures",
            "Robust accuracy against the attacker's budget",
            "How many images stay correctly classified when the attacker may change them by up to "
            "this L2 length. The curves say more than any single figure: lower is easier to fool.",
            screen="robust",
        ),
        Block(
            "transfer",
            "tables",
            "Who fools whom: the transfer matrix",
            "How long a change made to fool the row's variant is once it fools the column's, "
            "against the attack on that variant itself (×, of the medians); below, or where "
            "pointed at, on how many of the images that it has right it does, up to four times as "
            "long. Darker is nearer; what fools less than half has no shade.",
            screen="robust",
        ),
        Block(
            "adversarial",
            "figures",
            "What fools each variant",
            "Two test images, the nearest image that the attack found to fool each variant, and "
            "the difference enlarged (grey: no change). Under each picture the predicted class "
            "with its probability.",
        ),
        Block(
            "gallery",
            "page",
            "Images whose prediction changed",
            "Before the arrow the baseline's prediction, behind it the variant's, each with its "
            "probability. Beside the image, where there are maps: where the baseline looks, and "
            "where the variant does.",
            screen="changed",
        ),
        Block(
            "exemplars",
            "figures",
            "The images that compression changes",
            "Exemplars, those on which the seeds agree most first: what the baselines of most "
            "seeds say → what the compressed networks of most seeds say. Dark words: the baselines "
            "were right.",
        ),
        Block(
            "tsne",
            "figures",
            "Maps of the features (t-SNE)",
            "Each dot is a test image, the same ones in every panel, placed so that images with "
            "similar features are near each other; crosses are images that the variant gets wrong. "
            "Maps start from PCA and are turned and scaled onto the baseline's. The figure above "
            "each panel is how often an image's neighbours in the map vote for its class, with its "
            "95 % interval: judge by it, not by the eye.",
        ),
        Block(
            "tsne_interactive",
            "page",
            "Maps of the features (t-SNE), to explore",
            "Each dot is a test image, the same ones in every map; images with similar features "
            "are near each other. Point at a dot, tap it or use the arrow keys: its picture, its "
            "true class and what each variant predicts. Squares are images that the variant gets "
            "wrong. Judge by the scores in the table, not by the eye.",
            screen="sees",
        ),
        *(
            Block(
                f"cam_{method}",
                "figures",
                f"Where the networks look ({_method(method)})",
                "How strongly each pixel speaks for the class that the variant predicts. Each map "
                "has its own full heat, the value that half a per cent of its pixels exceed. Under "
                "each map: the predicted class and its probability.",
                "cam_maps",
                method,
                screen="sees" if place == 0 else "",
            )
            for place, method in enumerate(methods)
        ),
        Block(
            "training_curves",
            "figures",
            "Validation accuracy while training",
            "Of images held out of the training images; the best epoch is kept.",
        ),
    ]


def _harms() -> list[Block]:
    """Return the blocks on what accuracy and size do not show."""
    return [
        Block(
            "calibration",
            "tables",
            "Calibration: is a network right as often as it is sure?",
            "Guo et al. 2017, on the test images. A calibration error of few images is too large, "
            "for all variants alike; the Brier score and the log loss are not. “Scaled”: with one "
            "temperature for all logits, fitted on validation images; where there are none, "
            "nothing is scaled.",
        ),
        Block(
            "classes",
            "tables",
            "Harm by class",
            "Change of each class's recall, in points, on the same test images (Hooker et al. "
            "2019). With one seed, “beyond chance” is McNemar's test, corrected for all classes of "
            "a variant (Holm), and intervals are over the class's images of this one network; "
            "with several, intervals are over seeds and images, and “beyond chance” is an interval "
            "without zero. Intervals hold for all classes together (Bonferroni).",
        ),
        Block(
            "corruptions",
            "tables",
            "Corrupted images",
            "Noise, blur, weather and digital corruptions (Hendrycks & Dietterich 2019), of the "
            "same images for every variant; an image with all its corruptions counts once. "
            "“Corruption error”: the baseline's is 1.",
        ),
        Block(
            "corruption_kinds",
            "tables",
            "Corrupted images, by corruption",
            "Change of accuracy in points, mean over severities, paired by image. With one seed, "
            "“beyond chance” is corrected for all corruptions of a variant (Holm); intervals are "
            "not.",
        ),
        Block(
            "unfamiliar",
            "tables",
            "Unfamiliar images",
            "Does a network give images of none of its classes less confidence? Area under the "
            "curve (0.5 is guessing) and false alarms where 95 % are noticed, by OpenOOD's "
            "definitions.",
        ),
        Block(
            "seeds",
            "tables",
            "Flips beside the churn of a new seed",
            "How many predictions compression changes, and how many another training run of the "
            "same recipe does. Exemplars (Hooker et al. 2020): images on which the networks of all "
            "seeds together say something else than the baselines.",
        ),
    ]


def _method(method: str) -> str:
    return MAP_METHODS.get(method, method.replace("_", " "))


def _attack(name: str, settings: Mapping[str, Any]) -> Block:
    """Return the block of one attack; its caption says how it was set."""
    told = ""
    if settings:
        method = settings.get("method", "carlini_wagner")
        told = f"{ATTACK_METHODS.get(method, method)}: {_effort(settings)}. "
        if not settings.get("straight_through", True):
            told += "The gradient is the true one of rounding, which is zero. "
    return Block(
        f"attack_{name}",
        "tables",
        f"Attack “{name.replace('_', ' ')}”",
        f"{told}The same test images for every variant. Judge robustness by the length of the "
        "changes, and only where the gate calls it reliable.",
        "attack",
        name,
    )


def _effort(settings: Mapping[str, Any]) -> str:
    if "ddn" in settings:
        own = settings["carlini_wagner"]
        return f"{settings['ddn']['steps']} and {own['search_steps']} × {own['iterations']} steps"
    steps = settings.get("iterations", settings.get("steps"))
    rate = settings.get("learning_rate")
    at = f" at a learning rate of {rate}" if rate is not None else ""
    return f"{steps} steps{at}"
