"""The scores of explanations that can be compared between variants, and by how much they differ."""

from dataclasses import dataclass

from squeezed.reporting.estimates import Estimate, difference
from squeezed.reporting.experiment import Experiment
from squeezed.reporting.margins import SCORE_MARGIN, SHARE_MARGIN
from squeezed.reporting.measures import negated
from squeezed.reporting.wording import Format, plain, points


@dataclass(frozen=True)
class Score:
    """A score that can be compared between variants."""

    analysis: str
    metric: str
    name: str
    form: Format
    margin: float
    more_is_better: bool = True


CLUSTER_SCORES = (
    Score("tsne", "map_knn_accuracy", "neighbours in the map", points, SHARE_MARGIN),
    Score("embedding", "knn_accuracy", "neighbours in the features", points, SHARE_MARGIN),
    Score("embedding", "silhouette", "silhouette", plain, SCORE_MARGIN),
)


def map_scores(method: str) -> tuple[Score, Score, Score]:
    """Return the scores of the activation maps of one method."""
    return (
        Score("cam", f"{method}_insertion_auc", "insertion", plain, SCORE_MARGIN),
        Score("cam", f"{method}_deletion_auc", "deletion", plain, SCORE_MARGIN, False),
        Score("cam", f"{method}_share_on_object", "share on the object", points, SCORE_MARGIN),
    )


def advantage(
    experiment: Experiment, variant: str, score: Score, reference: str = "baseline"
) -> Estimate | None:
    """Return how much better a variant scores than the reference (more is better)."""
    found = difference(experiment, variant, score.analysis, score.metric, reference)
    return found if score.more_is_better else negated(found)
