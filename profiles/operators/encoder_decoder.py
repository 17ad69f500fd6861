"""The time of an encoder-decoder's passes, composed of operators."""

from __future__ import annotations

from typing import Protocol

from profiles.operators.architecture import Architecture
from profiles.operators.decoder import OperatorTimes, layer_seconds, layers_seconds, self_attention
from profiles.point import Point, decode_point


class EncoderTimes(OperatorTimes, Protocol):
    """Operator times with an encoder's attention."""

    def encoder_attention(self, point: Point, model: Architecture) -> float:
        """Attention of one encoder layer, in which each of `point`'s new tokens sees all of its sequence."""
        ...


def full_attention(model: Architecture, times: EncoderTimes, point: Point) -> float:
    """Seconds of an encoder layer's attention, with softmax."""
    return times.encoder_attention(point, model) + times.softmax(point.batch * point.new**2, model)


def encoder_seconds(model: Architecture, times: EncoderTimes, point: Point) -> float:
    """Seconds of the encoder over `point`'s prompts, and of the KV that each decoder layer makes of what it read.

    Patches are embedded by a product. What comes after an encoder alone, a pooler or classes, is left out.
    """
    attention = full_attention(model, times, point)
    layers = layers_seconds(model, times, point.tokens, attention, model.encoder_layers)
    embedding = times.embedding(point.tokens, model)
    if model.patch:
        embedding = times.gemm(point.tokens, model.hidden, model.patch)
    return embedding + layers + model.layers * cross_kv_seconds(model, times, point.tokens)


def cross_kv_seconds(model: Architecture, times: OperatorTimes, tokens: int) -> float:
    """Seconds in which a decoder layer makes KV of so many tokens that the encoder has read."""
    return times.gemm(tokens, 2 * model.kv_heads * model.head_dim, model.hidden)


def cross_seconds(model: Architecture, times: OperatorTimes, rows: int) -> float:
    """Seconds of a decoder layer's cross attention over `rows` tokens beside attention itself.

    Query and output products, and an addition with normalization.
    """
    hidden, inner = model.hidden, model.heads * model.head_dim
    products = times.gemm(rows, inner, hidden) + times.gemm(rows, hidden, inner)
    return products + times.elementwise(rows, 2 * hidden, 2 * hidden)


def decoder_layer_seconds(model: Architecture, times: OperatorTimes, point: Point) -> float:
    """Seconds of a decoder layer in a decode step, half of whose contexts is the prompt's, under cross attention.

    The KV of a prompt's token for cross attention is as large as that of an answer's for self attention, so the split
    of a context matters little.
    """
    context = point.computed + point.new
    halves = decode_point(point.batch, max(1, context - context // 2)), decode_point(point.batch, max(1, context // 2))
    attention = sum(self_attention(model, times, half) for half in halves)
    layer = layer_seconds(model, times, point.batch, attention)
    return layer + cross_seconds(model, times, point.batch)


def decoder_seconds(model: Architecture, times: OperatorTimes, point: Point) -> float:
    """Seconds of a decode step: embedding, its layers and the head."""
    layer = decoder_layer_seconds(model, times, point)
    head = times.gemm(point.batch, model.vocabulary, model.hidden)
    return times.embedding(point.batch, model) + model.layers * layer + head


def encoder_decoder_seconds(model: Architecture, times: EncoderTimes, point: Point, host_seconds: float) -> float:
    """Seconds of one pass of `point`: a decode step, or the encoder over whole prompts and the decoder's first step.

    ValueError for a part of a prompt: an encoder reads prompts whole; and for a step of one that only encodes.
    """
    if model.only_encodes and point.phase == "decode":
        raise ValueError(f"an encoder alone generates nothing, got {point}")
    if point.phase == "decode":
        return host_seconds + decoder_seconds(model, times, point)
    if point.computed:
        raise ValueError(f"an encoder reads prompts whole, got {point}")
    if model.only_encodes:
        return host_seconds + encoder_seconds(model, times, point)
    first = decode_point(point.batch, point.new + 1)
    return host_seconds + encoder_seconds(model, times, point) + decoder_seconds(model, times, first)
