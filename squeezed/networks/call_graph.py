"""Which layers a network calls, in which order, on what: its graph, by torch.fx."""

from torch import fx, nn

from squeezed.foundation.errors import UserError


def call_graph(network: nn.Module) -> fx.Graph:
    """Return the graph of calls inside `network`.

    Raises:
        UserError: if its `forward` depends on values, so that there is no one graph.
    """
    try:
        return fx.Tracer().trace(network)
    except (fx.proxy.TraceError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"{type(network).__name__} cannot be quantized or exported: "
            f"torch.fx cannot follow its forward pass ({reason})"
        ) from error
