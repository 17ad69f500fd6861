"""The time of an encoder-decoder's passes, composed of operators."""

from __future__ import annotations

from typing import Protocol

from profiles.operators.architecture import Architecture
from profiles.operators.decoder import OperatorTimes, layer_seconds
from profiles.point import Point, decode_point


class EncoderTimes(OperatorTimes, Protocol):
    """Operator times with an encoder's attention."""

    def encoder_attention(self, point: Point, model: Architecture) -> float:
        """Attention of one encoder layer, in which each of `point`'s new tokens sees all of its sequence."""
        ...


def encoder_seconds(model: Architecture, times: EncoderTimes, point: Point) -> float:
    """Seconds of the encoder over `point`'s prompts, and of the KV that each decoder layer makes of what it read."""
    layer = layer_seconds(model, times, point.tokens, times.encoder_attention(point, model))
    cross_kv = times.gemm(point.tokens, 2 * model.kv_heads * model.head_dim, model.hidden)
    return times.embedding(point.tokens, model) + model.encoder_layers * layer + model.layers * cross_kv


def decoder_seconds(model: Architecture, times: OperatorTimes, point: Point) -> float:
    """Seconds of a decode step, in which half of each context is the prompt's, under cross attention.

    Beside what a decoder layer has, cross attention has query and output products, and an addition with normalization.
    The KV of a prompt's token for cross attention is as large as that of an answer's for self attention, so the split
    of a context matters little.
    """
    hidden, inner = model.hidden, model.heads * model.head_dim
    context = point.computed + point.new
    halves = decode_point(point.batch, max(1, context - context // 2)), decode_point(point.batch, max(1, context // 2))
    attention = sum(times.generation_attention(half, model) for half in halves)
    products = times.gemm(point.batch, inner, hidden) + times.gemm(point.batch, hidden, inner)
    cross = products + times.elementwise(point.batch, 2 * hidden, 2 * hidden)
    layer = layer_seconds(model, times, point.batch, attention) + cross
    head = times.gemm(point.batch, model.vocabulary, hidden)
    return times.embedding(point.batch, model) + model.layers * layer + head


def encoder_decoder_seconds(model: Architecture, times: EncoderTimes, point: Point, host_seconds: float) -> float:
    """Seconds of one pass of `point`: a decode step, or the encoder over whole prompts and the decoder's first step.

    ValueError for a part of a prompt: an encoder reads prompts whole.
    """
    if point.phase == "decode":
        return host_seconds + decoder_seconds(model, times, point)
    if point.computed:
        raise ValueError(f"an encoder reads prompts whole, got {point}")
    first = decode_point(point.batch, point.new + 1)
    return host_seconds + encoder_seconds(model, times, point) + decoder_seconds(model, times, first)
