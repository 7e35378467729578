"""The columns of the report's tables: what each shows, and how it is written."""

from squeezed.reporting.tables import Column
from squeezed.reporting.wording import (
    grey_levels,
    mebibytes,
    megabytes,
    millions,
    milliseconds,
    number,
    percent,
    plain,
    seconds,
    times,
)

PERFORMANCE = (
    Column(
        "top1_accuracy",
        "Accuracy",
        "Share of test images classified correctly",
        percent,
        "evaluation",
        True,
    ),
    Column(
        "flipped_share",
        "Flipped",
        "Share of test images that are classified otherwise than by the baseline",
        percent,
        "evaluation",
    ),
    Column(
        "onnx_size_bytes",
        "Deployed file",
        "The ONNX file, 10⁶ bytes a MB",
        megabytes,
        "evaluation",
    ),
    Column(
        "time_10000_s",
        "10,000 images",
        "The same engine, batch size and threads for all; median of the repeats",
        seconds,
        "inference_timing",
    ),
    Column(
        "speedup",
        "Speed-up",
        "Over the baseline, timed in turn with it in the same job",
        times,
        "inference_timing",
    ),
    Column(
        "latency_p50_ms",
        "Latency p50",
        "One image at a time, median",
        milliseconds,
        "inference_timing",
    ),
    Column(
        "latency_p95_ms",
        "Latency p95",
        "One image at a time, 95th percentile",
        milliseconds,
        "inference_timing",
    ),
)


STORAGE = (
    Column(
        "onnx_gzipped_bytes", "Gzipped", "The deployed file after gzip", megabytes, "evaluation"
    ),
    Column(
        "nonzero_parameters",
        "Nonzero weights",
        "Parameters that are not exactly zero",
        millions,
        "evaluation",
    ),
    Column(
        "remaining_multiply_accumulates",
        "Useful MACs",
        "Multiply–accumulates for one image, without those by a zero weight",
        millions,
        "evaluation",
    ),
    Column("peak_memory_mib", "Peak memory", "Of the process that infers", mebibytes, "evaluation"),
)


MEMBERS = {"ddn": "DDN", "carlini_wagner": "Carlini–Wagner"}
"""Of an ensemble of attacks, in words."""


def attack_columns(attack: str) -> tuple[Column, ...]:
    """Return the columns of an attack's table."""
    return (
        Column(
            "accuracy_before", "Accuracy before", "Of the attacked images", percent, attack, True
        ),
        Column(
            "accuracy_after",
            "… after",
            "Of the same images after the attack",
            percent,
            attack,
            True,
        ),
        Column(
            "confidence_before",
            "Confidence before",
            "Mean probability of the predicted class",
            percent,
            attack,
        ),
        Column(
            "confidence_after",
            "… after",
            "Mean probability of the class predicted for the last iterate",
            percent,
            attack,
        ),
        Column(
            "success_rate",
            "Fooled",
            "Share of the correctly classified images that the attack turns",
            percent,
            attack,
            images="n_attackable",
        ),
        Column("l2_mean", "L2 mean", "Euclidean length of the successful changes", plain, attack),
        Column(
            "l2_median", "L2 median", "Of the successful changes, pixels in [0, 1]", plain, attack
        ),
        *(
            Column(
                f"l2_median_{member}",
                f"… of {words} alone",
                "What a member of the ensemble finds by itself",
                plain,
                attack,
            )
            for member, words in MEMBERS.items()
        ),
        Column("linf_median", "L∞ median", "Largest change of a pixel", grey_levels, attack),
        Column(
            "max_abs_change",
            "Moved at most",
            "Largest change of any pixel of any last iterate, in grey levels of 255",
            grey_levels,
            attack,
        ),
    )


ATTACK_TIME = Column(
    "attack_time_per_image_ms",
    "Time an image",
    "In a timing job that runs alone",
    milliseconds,
    "attack_timing",
)

EMBEDDING = (
    Column(
        "knn_accuracy",
        "Neighbours",
        "k-nearest-neighbour accuracy in the features",
        percent,
        "embedding",
    ),
    Column(
        "silhouette", "Silhouette", "Between −1 and 1; more is more distinct", plain, "embedding"
    ),
    Column(
        "linear_probe_accuracy",
        "Linear probe",
        "Accuracy of a linear classifier",
        percent,
        "embedding",
    ),
    Column(
        "linear_cka",
        "CKA",
        "Likeness to the baseline's features, 1 is the same",
        plain,
        "embedding",
    ),
    Column(
        "trustworthiness",
        "Trustworthiness",
        "How far neighbours in the map are neighbours in the features",
        plain,
        "tsne",
    ),
    Column(
        "map_knn_accuracy", "Neighbours in the map", "k-nearest-neighbour accuracy", percent, "tsne"
    ),
)

TRAINING = (
    Column("amount", "Amount", "Share of what was pruned that is gone", percent, "training"),
    Column("epochs", "Epochs", "Trained or retrained", number(0), "training"),
    Column("best_epoch", "Best epoch", "Chosen on validation images", number(0), "training"),
    Column(
        "validation_accuracy",
        "Validation accuracy",
        "Of images held out of the training images",
        percent,
        "training",
    ),
)
