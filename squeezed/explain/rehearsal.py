"""What the explanations need of a network, found before anything is trained."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import fx

from squeezed.explain.attribution import unavailable
from squeezed.explain.layers import feature_layer
from squeezed.foundation.errors import UserError


@dataclass(frozen=True)
class Missing:
    """What cannot be explained of a network, in sentences."""

    features: str | None
    """Why no features can be read, None where they can."""
    maps: Mapping[str, str]
    """For each method that has no map, why."""


def missing(
    twin: fx.GraphModule,
    embedding_layer: str | None,
    cam_layer: str | None,
    methods: Iterable[str],
) -> Missing:
    """Return what the explanations have to do without on a network.

    Computes nothing with an image.

    Args:
        twin: the network's, trained or not.
        embedding_layer: `embedding.layer` of the configuration.
        cam_layer: `cam.layer`.
        methods: `cam.methods`.
    """
    features = None
    try:
        feature_layer(twin, embedding_layer)
    except UserError as error:
        features = str(error)
    reasons = {method: unavailable(twin, method, cam_layer) for method in methods}
    return Missing(features, {method: reason for method, reason in reasons.items() if reason})
