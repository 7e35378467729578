"""The columns of the tables on confidence, corruptions, unfamiliar images and seeds."""

from functools import partial

from squeezed.reporting.estimates import IMAGES, Estimate
from squeezed.reporting.experiment import Experiment
from squeezed.reporting.harms import (
    broken_share,
    calibration_change,
    corruption_change,
    fixed_share,
    unfamiliar_change,
    worst_class_change,
)
from squeezed.reporting.measures import negated
from squeezed.reporting.tables import Column
from squeezed.reporting.wording import Format, number, percent, plain, points, signed, times

WORST_CLASS = Column(
    "worst_class_recall_change",
    "Worst class",
    "Change of the recall of the class that loses most, if any does; the interval holds for all "
    "classes",
    points,
    measure=worst_class_change,
)
CALIBRATION_ERROR = Column(
    "expected_calibration_error",
    "Calibration error",
    "Mean distance of confidence and accuracy over 15 bins of confidence (expected calibration "
    "error); less is better",
    percent,
    "evaluation",
)
CORRUPTION_CHANGE = Column(
    "corruption_accuracy_change",
    "Corrupted",
    "Change of the accuracy on corrupted images",
    points,
    measure=corruption_change,
)
CORRUPTION_ERROR = Column(
    "mean_corruption_error",
    "Corruption error",
    "Mean over corruptions of the errors against the baseline's; less is better",
    times,
    "corruptions",
)
AUROC = Column(
    "auroc_confidence",
    "Unfamiliar told apart",
    "Chance that an image of the data set gets more confidence than an unfamiliar one (area under "
    "the curve); 0.5 is guessing",
    plain,
    "unfamiliar",
)

BROKEN = Column(
    "broken_share",
    "Broken",
    "Share of the test images that the baseline gets right and the variant wrong",
    percent,
    measure=broken_share,
)
FIXED = Column(
    "fixed_share",
    "Fixed",
    "Share of the test images that the baseline gets wrong and the variant right",
    percent,
    measure=fixed_share,
)

CHANGES = (
    BROKEN,
    FIXED,
    WORST_CLASS,
    CALIBRATION_ERROR,
    CORRUPTION_CHANGE,
    CORRUPTION_ERROR,
    AUROC,
)
"""One or two figures of each of these analyses, beside each other."""

CALIBRATION = (
    CALIBRATION_ERROR,
    Column(
        "calibration_change",
        "… change",
        "Against the baseline; minus is worse: the error grows. As if of other images: the "
        "interval is too wide",
        points,
        measure=lambda e, v: negated(calibration_change(e, v)),
    ),
    Column(
        "overconfidence",
        "Overconfident",
        "Mean confidence minus accuracy; below zero the network is too modest",
        points,
        "evaluation",
    ),
    Column(
        "adaptive_calibration_error",
        "Equal bins",
        "The calibration error over bins of equally many images",
        percent,
        "evaluation",
    ),
    Column(
        "brier_score",
        "Brier score",
        "Squared distance of the probabilities from the truth, between 0 and 2; less is better",
        plain,
        "evaluation",
    ),
    Column(
        "negative_log_likelihood",
        "Log loss",
        "Negative log-likelihood in nats; less is better",
        plain,
        "evaluation",
    ),
    Column(
        "temperature",
        "Temperature",
        "What logits are divided by, fitted on validation images; above 1 makes less confident",
        number(2),
        "evaluation",
    ),
    Column(
        "expected_calibration_error_scaled",
        "Error, scaled",
        "The calibration error with the logits divided by the temperature",
        percent,
        "evaluation",
    ),
    Column(
        "brier_score_scaled",
        "Brier, scaled",
        "The Brier score with the logits divided by the temperature",
        plain,
        "evaluation",
    ),
    Column(
        "negative_log_likelihood_scaled",
        "Log loss, scaled",
        "The log loss with the logits divided by the temperature",
        plain,
        "evaluation",
    ),
)

CORRUPTIONS = (
    Column(
        "corruption_clean_accuracy",
        "Clean",
        "Accuracy on the same images without corruption",
        percent,
        "corruptions",
    ),
    Column(
        "corruption_accuracy",
        "Corrupted",
        "Accuracy, mean over corruptions and severities",
        percent,
        "corruptions",
    ),
    Column(
        "corruption_accuracy_change",
        "… change",
        "Against the baseline, paired by image",
        points,
        measure=corruption_change,
    ),
    Column(
        "corruption_flipped_share",
        "Flipped",
        "Share of the corrupted images that are classified otherwise than by the baseline",
        percent,
        "corruptions",
    ),
    CORRUPTION_ERROR,
)

UNFAMILIAR = (
    AUROC,
    Column(
        "auroc_confidence_change",
        "… change",
        "Against the baseline, paired by image",
        signed,
        measure=unfamiliar_change,
    ),
    Column(
        "fpr95_confidence",
        "False alarms",
        "Share of the data set's own images flagged where 95 % of the unfamiliar ones are; less "
        "is better",
        percent,
        "unfamiliar",
    ),
    Column(
        "auroc_energy",
        "By energy",
        "The area under the curve of the energy score (Liu et al. 2020)",
        plain,
        "unfamiliar",
    ),
    Column(
        "auroc_energy_change",
        "… change",
        "Against the baseline, paired by image",
        signed,
        "unfamiliar",
    ),
    Column(
        "fpr95_energy",
        "… false alarms",
        "Share of the data set's own images flagged where 95 % of the unfamiliar ones are",
        percent,
        "unfamiliar",
    ),
)


def _compared(field: str, experiment: Experiment, variant: str) -> Estimate | None:
    """Return a figure of the comparison of seeds; that of the baseline stands at its top."""
    compared = experiment.seed_comparison
    fields = compared if variant == "baseline" else compared.get("variants", {}).get(variant, {})
    if fields.get(field) is None:
        return None
    low, high = fields.get(f"{field}_low"), fields.get(f"{field}_high")
    n = int(compared["n_images"])
    # A share of images is of the majority of the seeds' networks: no seed is drawn for it.
    over = f"{n:,} {IMAGES}, with these seeds"
    if field == "flipped_share":
        over = f"{compared['n_seeds']} seeds and {n:,} {IMAGES}"
    return Estimate(float(fields[field]), low, high, None, "" if low is None else over, n)


def _seed_column(key: str, label: str, title: str, form: Format = percent) -> Column:
    return Column(key, label, title, form, measure=partial(_compared, key))


SEEDS = (
    _seed_column(
        "flipped_share",
        "Flipped",
        "Share of the predictions that are not those of the baseline of the same seed",
    ),
    _seed_column(
        "seed_churn",
        "Seed churn",
        "Share of the predictions that differ between two of its own networks of different seeds",
    ),
    _seed_column(
        "exemplars",
        "Exemplars",
        "Images whose most frequent prediction over seeds is not that of the baselines",
        number(0),
    ),
    _seed_column("exemplar_share", "… share", "Of all test images"),
    _seed_column(
        "exemplars_baseline_accuracy",
        "Baselines right",
        "How often the baselines' most frequent prediction is right on the exemplars",
    ),
    _seed_column(
        "exemplars_variant_accuracy",
        "Variant right",
        "How often the variant's most frequent prediction is right on the exemplars",
    ),
    _seed_column(
        "other_images_baseline_accuracy",
        "On other images",
        "How often the baselines' most frequent prediction is right on all other images",
    ),
)
"""Flips beside the churn that a new seed brings (Hooker et al. 2020)."""
