"""The time of a forward pass as the sum of its operators' times."""

from __future__ import annotations

from typing import Protocol

from profiles.operators.architecture import Architecture
from profiles.point import Point

ADD_NORMS = 2
PARTS = ("qkv", "output", "up", "activation", "down", "normalization")  # of a layer, attention aside


class OperatorTimes(Protocol):
    """Seconds that each operator takes on one device; sizes are elements, `tokens` are rows.

    What adds up as seconds do is composed alike: `profiles.operators.counts` has operations and elements instead.
    """

    def gemm(self, tokens: int, width: int, depth: int) -> float:
        """A (tokens x depth) by (depth x width) product."""
        ...

    def repeated_gemm(self, tokens: int, width: int, depth: int, block: int) -> float:
        """The same with weights that the layer before had too, as part of a `block` of so many."""
        ...

    def context_attention(self, point: Point, model: Architecture) -> float:
        """Attention of one layer over `point`'s new tokens."""
        ...

    def generation_attention(self, point: Point, model: Architecture) -> float:
        """Attention of one layer in a decode step."""
        ...

    def elementwise(self, tokens: int, read: int, written: int) -> float:
        """An operator that reads and writes so many elements a token."""
        ...

    def softmax(self, scores: int, model: Architecture) -> float:
        """Softmax of so many scores of each head, where it is no part of attention."""
        ...

    def embedding(self, tokens: int, model: Architecture) -> float:
        """Looking up the tokens' embeddings."""
        ...


def layer_seconds(
    model: Architecture, times: OperatorTimes, rows: int, attention: float, repeated: bool = False
) -> float:
    """Seconds of one layer over `rows` tokens, with `attention` seconds of attention.

    A layer is two residual additions with normalization, the QKV, output, up (with gate) and down products, attention
    and activation. `repeated` says that the layer before had the same feed-forward weights.
    """
    parts = layer_parts(model, times, rows, repeated)
    return parts["qkv"] + attention + sum(parts[name] for name in PARTS[1:])


def layer_parts(model: Architecture, times: OperatorTimes, rows: int, repeated: bool = False) -> dict[str, float]:
    """Seconds of each operator of a layer (PARTS) over `rows` tokens, but attention and its softmax."""
    hidden, block = model.hidden, model.feed_forward_parameters

    def feed_forward(width: int, depth: int) -> float:
        return times.repeated_gemm(rows, width, depth, block) if repeated else times.gemm(rows, width, depth)

    seconds = (
        times.gemm(rows, model.qkv_width, hidden),
        times.gemm(rows, hidden, model.heads * model.head_dim),
        feed_forward(model.up_width, hidden),
        times.elementwise(rows, model.up_width, model.feed_forward),
        feed_forward(hidden, model.feed_forward),
        ADD_NORMS * times.elementwise(rows, 2 * hidden, 2 * hidden),
    )
    return dict(zip(PARTS, seconds, strict=True))


def layers_seconds(model: Architecture, times: OperatorTimes, rows: int, attention: float, layers: int) -> float:
    """Seconds of so many layers in a row, each as in `layer_seconds`."""
    first = layer_seconds(model, times, rows, attention)
    if not model.shared_feed_forward:
        return layers * first
    return first + (layers - 1) * layer_seconds(model, times, rows, attention, repeated=True)


def self_attention(model: Architecture, times: OperatorTimes, point: Point) -> float:
    """Seconds of a decoder layer's attention to what stands before each token, with softmax."""
    attention = times.context_attention if point.phase == "prefill" else times.generation_attention
    return attention(point, model) + times.softmax(point.attended, model)


def pass_seconds(model: Architecture, times: OperatorTimes, point: Point, host_seconds: float) -> float:
    """Seconds of one pass of `point`: embedding, the layers, the LM head for each sequence, and the host's constant.

    The head's rows are the sequences, as an engine samples the last token of each alone. ValueError for a mixture of
    experts, whose layers are others.
    """
    if model.experts:
        raise ValueError(f"a mixture of {model.experts} experts is not composed of these operators")
    layers = layers_seconds(model, times, point.tokens, self_attention(model, times, point), model.layers)
    head = times.gemm(point.batch, model.vocabulary, model.hidden)
    return host_seconds + times.embedding(point.tokens, model) + layers + head
