"""How many operations and how many elements of memory traffic the operators of a transformer take."""

from __future__ import annotations

from dataclasses import dataclass

from profiles.experts import activated_share
from profiles.operators.architecture import Architecture
from profiles.operators.decoder import OperatorTimes, layer_seconds, layers_seconds
from profiles.point import Point, decode_point, prefill_point


@dataclass(frozen=True, slots=True)
class Flops:
    """Floating-point operations of each operator; implements `profiles.operators.encoder_decoder.EncoderTimes`.

    A multiplication with its addition is two, and only products count unless `per_score` of softmax and `per_element`
    that another operator moves are given: over the layers of an encoder of l tokens products add up to 8 l d^2 +
    4 l^2 d + 4 l d f each ("Full Stack Optimization of Transformer Inference", arXiv 2302.14017).
    """

    per_score: float = 0
    per_element: float = 0

    def gemm(self, tokens: int, width: int, depth: int) -> float:
        return 2.0 * tokens * width * depth

    def repeated_gemm(self, tokens: int, width: int, depth: int, block: int) -> float:
        return self.gemm(tokens, width, depth)

    def grouped_gemm(self, tokens: int, width: int, depth: int, experts: int, per_token: int) -> float:
        return self.gemm(tokens * per_token, width, depth)

    def context_attention(self, point: Point, model: Architecture) -> float:
        return _attention_flops(point.attended, model)

    def generation_attention(self, point: Point, model: Architecture) -> float:
        return _attention_flops(point.attended, model)

    def encoder_attention(self, point: Point, model: Architecture) -> float:
        return _attention_flops(point.batch * point.new**2, model)

    def elementwise(self, tokens: int, read: int, written: int) -> float:
        return self.per_element * tokens * (read + written)

    def softmax(self, scores: int, model: Architecture) -> float:
        return self.per_score * model.heads * scores

    def embedding(self, tokens: int, model: Architecture) -> float:
        return 0.0


@dataclass(frozen=True, slots=True)
class Elements:
    """Elements that the products and attention move to or from memory; implements `EncoderTimes`.

    A product reads its weights and its input and writes its output. Attention reads queries and KV and writes its
    output; in a decoder it also writes the new KV to the cache. Each score crosses memory `score_transfers` times: 2
    where attention is two products with the scores between them, 0 where it is fused; and `softmax_passes` times more
    for a softmax of its own. Element-wise operators go over their data `elementwise_passes` times, 0 unless it is said,
    and the embedding is left out: an encoder layer of arXiv 2302.14017 has weights of 4 d^2 + 2 d f and activations of
    14 l d + 2 l f + 2 h l^2 (see `surveyed_layer`). Weights that the layer
    before had too, as part of a block of no more than `kept` elements, are not read again.
    """

    score_transfers: float = 2
    kept: float = 0
    softmax_passes: float = 0
    elementwise_passes: float = 0

    def gemm(self, tokens: int, width: int, depth: int) -> float:
        return float(width * depth + tokens * (width + depth))

    def repeated_gemm(self, tokens: int, width: int, depth: int, block: int) -> float:
        return self.gemm(tokens, width, depth) - (width * depth if block <= self.kept else 0)

    def grouped_gemm(self, tokens: int, width: int, depth: int, experts: int, per_token: int) -> float:
        weights = experts * activated_share(per_token, experts, tokens) * width * depth
        return weights + tokens * per_token * (width + depth)

    def context_attention(self, point: Point, model: Architecture) -> float:
        return self._attention(point, point.attended, model) + _kv(point.tokens, model)

    def generation_attention(self, point: Point, model: Architecture) -> float:
        return self._attention(point, point.attended, model) + _kv(point.tokens, model)

    def encoder_attention(self, point: Point, model: Architecture) -> float:
        return self._attention(point, point.batch * point.new**2, model)

    def elementwise(self, tokens: int, read: int, written: int) -> float:
        return self.elementwise_passes * tokens * (read + written)

    def softmax(self, scores: int, model: Architecture) -> float:
        return self.softmax_passes * model.heads * scores

    def embedding(self, tokens: int, model: Architecture) -> float:
        return 0.0

    def _attention(self, point: Point, scores: int, model: Architecture) -> float:
        queries_and_output = 2.0 * point.tokens * model.heads * model.head_dim
        read = _kv(point.batch * (point.computed + point.new), model)
        return queries_and_output + read + self.score_transfers * model.heads * scores


def _attention_flops(scores: int, model: Architecture) -> float:
    return 4.0 * scores * model.heads * model.head_dim


def _kv(tokens: int, model: Architecture) -> float:
    return 2.0 * tokens * model.kv_heads * model.head_dim


def surveyed_layer(model: Architecture, counts: OperatorTimes, rows: int, attention: float) -> float:
    """The count of one layer over `rows` tokens as arXiv 2302.14017 has it, with `attention` for its attention.

    There queries, keys and values are three products, each of which reads the input; an engine makes them one.
    """
    inner, kv = model.heads * model.head_dim, model.kv_heads * model.head_dim
    joint = counts.gemm(rows, model.qkv_width, model.hidden)
    apart = counts.gemm(rows, inner, model.hidden) + 2 * counts.gemm(rows, kv, model.hidden)
    layer = layer_seconds(model, counts, rows, attention)
    if model.dense_layers:  # the mean over layers
        layer = layers_seconds(model, counts, rows, attention, model.layers) / model.layers
    return layer - joint + apart


def encoder_total(model: Architecture, counts: Flops | Elements, tokens: int) -> float:
    """The count of all encoder layers over one sequence of `tokens`, without embedding and head."""
    point = prefill_point(1, tokens)
    return model.encoder_layers * surveyed_layer(model, counts, tokens, counts.encoder_attention(point, model))


def prefill_total(model: Architecture, counts: OperatorTimes, tokens: int) -> float:
    """The count of all decoder layers over one prompt of `tokens`, without embedding and head."""
    point = prefill_point(1, tokens)
    return model.layers * surveyed_layer(model, counts, tokens, counts.context_attention(point, model))


def generation_total(model: Architecture, counts: OperatorTimes, tokens: int) -> float:
    """The count of all decoder layers generating `tokens`, one at a time from empty context, without the head."""
    points = (decode_point(1, context) for context in range(1, tokens + 1))
    steps = (surveyed_layer(model, counts, 1, counts.generation_attention(point, model)) for point in points)
    return model.layers * sum(steps)
