"""The scores of explanations that can be compared between variants, and by how much they differ."""

from dataclasses import dataclass

from squeezed.reporting.estimates import Estimate, difference
from squeezed.reporting.experiment import Experiment
from squeezed.reporting.margins import (
    CORRELATION_MARGIN,
    SCORE_MARGIN,
    SHARE_MARGIN,
    stays_within,
)
from squeezed.reporting.measures import randomisation_excess
from squeezed.reporting.wording import Format, plain, points


@dataclass(frozen=True)
class Score:
    """A score that can be compared between variants; more is better."""

    analysis: str
    metric: str
    name: str
    form: Format
    margin: float
    net: bool = False
    """Whether it is already what is above a random map on the same network."""


CLUSTER_SCORES = (
    Score("tsne", "map_knn_accuracy", "neighbours in the map", points, SHARE_MARGIN),
    Score("embedding", "knn_accuracy", "neighbours in the features", points, SHARE_MARGIN),
    Score("embedding", "silhouette", "silhouette", plain, SCORE_MARGIN),
)


def map_scores(method: str) -> tuple[Score, Score, Score, Score]:
    """Return the scores of the activation maps of one method."""
    return (
        Score("cam", f"{method}_insertion_net", "insertion", plain, SCORE_MARGIN, net=True),
        Score("cam", f"{method}_deletion_net", "deletion", plain, SCORE_MARGIN, net=True),
        Score("cam", f"{method}_road", "ROAD", plain, SCORE_MARGIN),
        Score("cam", f"{method}_share_on_object", "share on the object", points, SCORE_MARGIN),
    )


def advantage(
    experiment: Experiment, variant: str, score: Score, reference: str = "baseline"
) -> Estimate | None:
    """Return how much better a variant scores than the reference (more is better)."""
    return difference(experiment, variant, score.analysis, score.metric, reference)


def maps_depend_on_weights(experiment: Experiment, method: str) -> bool | None:
    """Return whether a method's maps pass the randomisation test (Adebayo et al. 2018).

    They pass if maps of the baseline with every layer re-initialised are surely no more like those
    of the trained network than maps of different images are like each other, and fail if they
    surely are. None where the test was not made, or its images are too few to tell.
    """
    return stays_within(randomisation_excess(experiment, method), CORRELATION_MARGIN)
