"""The time of a forward pass as the sum of its operators' times."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from profiles.operators.architecture import Architecture
from profiles.point import Point, within

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

    def grouped_gemm(self, tokens: int, width: int, depth: int, experts: int, per_token: int) -> float:
        """The same with the weights of `per_token` of so many `experts` for each token."""
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

    qkv = times.gemm(rows, model.qkv_width, hidden), times.gemm(rows, hidden, model.heads * model.head_dim)
    if model.experts:
        up, activation, down = mixture_parts(model, times, rows)
    else:
        up = feed_forward(model.up_width, hidden)
        activation = times.elementwise(rows, model.up_width, model.feed_forward)
        down = feed_forward(hidden, model.feed_forward)
    seconds = (*qkv, up, activation, down, ADD_NORMS * times.elementwise(rows, 2 * hidden, 2 * hidden))
    return dict(zip(PARTS, seconds, strict=True))


def mixture_parts(model: Architecture, times: OperatorTimes, rows: int) -> tuple[float, float, float]:
    """Seconds of a mixture's up product (its router with it), activation and down product over `rows` tokens."""
    hidden, shared, gate = model.hidden, model.shared_columns, 2 if model.gated else 1
    drawn = (model.experts, model.experts_per_token)
    up = times.gemm(rows, model.experts, hidden) + times.grouped_gemm(rows, model.up_width, hidden, *drawn)
    down = times.grouped_gemm(rows, hidden, model.feed_forward, *drawn)
    if shared:
        up += times.gemm(rows, gate * shared, hidden)
        down += times.gemm(rows, hidden, shared)
    columns = model.experts_per_token * model.feed_forward + shared
    return up, times.elementwise(rows, gate * columns, columns), down


def layers_seconds(model: Architecture, times: OperatorTimes, rows: int, attention: float, layers: int) -> float:
    """Seconds of so many layers in a row, each as in `layer_seconds`."""
    first = layer_seconds(model, times, rows, attention)
    if model.dense_layers:
        plain = layer_seconds(without_experts(model), times, rows, attention)
        return (layers - model.dense_layers) * first + model.dense_layers * plain
    if not model.shared_feed_forward:
        return layers * first
    return first + (layers - 1) * layer_seconds(model, times, rows, attention, repeated=True)


def without_experts(model: Architecture) -> Architecture:
    """The sizes of a layer that has none, in a mixture."""
    return replace(model, experts=0, feed_forward=model.dense_feed_forward) if model.dense_layers else model


def self_attention(model: Architecture, times: OperatorTimes, point: Point) -> float:
    """Seconds of a decoder layer's attention to what stands before each token, with softmax.

    Where some layers attend to a window it is the mean over layers.
    """
    attention = times.context_attention if point.phase == "prefill" else times.generation_attention
    seconds = attention(point, model) + times.softmax(point.attended, model)
    if model.windowed_layers:
        near = within(point, model.window)
        windowed = attention(near, model) + times.softmax(near.attended, model)
        seconds += model.windowed_layers / model.layers * (windowed - seconds)
    return seconds


def pass_seconds(model: Architecture, times: OperatorTimes, point: Point, host_seconds: float) -> float:
    """Seconds of one pass of `point`: embedding, the layers, the LM head for each sequence, and the host's constant.

    The head's rows are the sequences, as an engine samples the last token of each alone. ValueError for a mixture of
    experts where `times` have none.
    """
    layers = layers_seconds(model, times, point.tokens, self_attention(model, times, point), model.layers)
    head = times.gemm(point.batch, model.vocabulary, model.hidden)
    return host_seconds + times.embedding(point.tokens, model) + layers + head
