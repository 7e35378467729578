"""What the explanations need of a network, found before anything is trained."""

from collections.abc import Iterable

from torch import fx

from squeezed.explain.attribution import unavailable
from squeezed.explain.layers import feature_layer
from squeezed.foundation.errors import UserError


def check(
    twin: fx.GraphModule,
    embedding_layer: str | None,
    cam_layer: str | None,
    methods: Iterable[str],
) -> list[str]:
    """Return a sentence on each thing that cannot be done with a network; none if all can.

    Computes nothing with an image.

    Args:
        twin: the network's, trained or not.
        embedding_layer: `embedding.layer` of the configuration.
        cam_layer: `cam.layer`.
        methods: `cam.methods`.
    """
    said = []
    try:
        feature_layer(twin, embedding_layer)
    except UserError as error:
        said.append(str(error))
    for method in methods:
        reason = unavailable(twin, method, cam_layer)
        if reason is not None:
            said.append(reason)
    return said
