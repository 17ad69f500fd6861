"""What each layer of a model costs in a pass: for whoever places layers on devices."""

from __future__ import annotations

from dataclasses import dataclass

from profiles.operators.architecture import Architecture
from profiles.operators.counts import Flops
from profiles.operators.decoder import layer_parts, layer_seconds, self_attention, without_experts
from profiles.operators.encoder_decoder import (
    EncoderTimes,
    cross_kv_seconds,
    cross_seconds,
    decoder_layer_seconds,
    full_attention,
)
from profiles.point import Point, within

LINEAR = ("projections", "attention", "feed_forward")  # products, of which attention's are of activations alone
NONLINEAR = ("softmax", "normalization", "activation")  # normalization with the residual addition before it
KINDS = (*LINEAR, *NONLINEAR)
KIND_OF = {
    "qkv": "projections",
    "output": "projections",
    "up": "feed_forward",
    "down": "feed_forward",
    "activation": "activation",
    "normalization": "normalization",
}


@dataclass(frozen=True, slots=True)
class LayerCost:
    """One layer of a pass, of `kind` encoder or decoder: its seconds on a device, its FLOPs (of products alone).

    `elements` of hidden states leave it; to cut the model behind it is to send them, in bytes of the dtype. A decoder
    that reads an encoder's output needs that too, whichever layer comes first on its side of a cut.
    """

    kind: str
    seconds: float
    flops: float
    elements: int


def layer_costs(model: Architecture, times: EncoderTimes, point: Point) -> tuple[LayerCost, ...]:
    """The layers of `model` in the order of a pass over `point`, each on the device that `times` is of.

    `times` is a `Roofline` (device, dtype, launching) or any other source of operator times; embedding, head and the
    host's constant are no layer's. A prompt of l tokens is `prefill_point(1, l)`: an encoder's layers see all of it, a
    decoder's what stands before each token; an encoder-decoder's decoder layers run over as many tokens, causally, with
    cross attention to the prompt. A token that is generated at a context is `decode_point(1, context)`: the decoder's
    layers alone, whose cross attention has half of the context. ValueError for a mixture of experts, and for a decode
    step of what only encodes.
    """
    if model.experts:
        raise ValueError(f"a mixture of {model.experts} experts is not composed of these operators")
    if model.only_encodes and point.phase == "decode":
        raise ValueError(f"an encoder alone generates nothing, got {point}")
    counts, elements = Flops(), point.tokens * model.hidden
    costs = []
    if point.phase == "prefill":
        for number in range(model.encoder_layers):
            seconds, flops = (
                layer_seconds(model, one, point.tokens, full_attention(model, one, point), _repeats(model, number))
                for one in (times, counts)
            )
            costs.append(LayerCost("encoder", seconds, flops, elements))
    for number in range(model.layers):
        seconds, flops = (_decoder_layer(model, one, point, _repeats(model, number)) for one in (times, counts))
        costs.append(LayerCost("decoder", seconds, flops, elements))
    return tuple(costs)


def layer_cost(model: Architecture, times: EncoderTimes, tokens: int) -> LayerCost:
    """One layer over a sequence of `tokens`: the first of `layer_costs`, to which the others of its kind are equal.

    (Not so where layers share feed-forward weights that a cache keeps: there the first is the dearest.)
    """
    return layer_costs(model, times, Point("prefill", 1, tokens, 0))[0]


def _repeats(model: Architecture, number: int) -> bool:
    return model.shared_feed_forward and number > 0


def _decoder_layer(model: Architecture, times: EncoderTimes, point: Point, repeated: bool) -> float:
    if point.phase == "decode" and model.encoder_layers:
        return decoder_layer_seconds(model, times, point)
    rows = point.tokens
    if point.phase == "decode":
        return layer_seconds(model, times, rows, self_attention(model, times, point), repeated)
    attention = self_attention(model, times, point)
    if not model.encoder_layers:
        return layer_seconds(model, times, rows, attention, repeated)
    crossed = full_attention(model, times, point) + cross_kv_seconds(model, times, rows)
    return layer_seconds(model, times, rows, attention + crossed) + cross_seconds(model, times, rows)


def operator_costs(model: Architecture, times: EncoderTimes, point: Point, apart: bool = True) -> dict[str, float]:
    """What each kind of operator (KINDS) takes over all layers of a pass: seconds, or what `times` counts.

    As in arXiv 2302.14017, where queries, keys and values are three products (`apart`) that read the input each. Not
    for an encoder-decoder: ValueError.
    """
    if model.layers and model.encoder_layers:
        raise ValueError("the operators of an encoder-decoder are not told apart")
    layers, rows = model.layers + model.encoder_layers, point.tokens
    if model.encoder_layers:
        attention, scores = times.encoder_attention(point, model), point.batch * point.new**2
    else:
        attend = times.context_attention if point.phase == "prefill" else times.generation_attention
        attention, scores = attend(point, model), point.attended
    costs = dict.fromkeys(KINDS, 0.0)
    costs["attention"] = layers * attention
    costs["softmax"] = layers * times.softmax(scores, model)
    if model.windowed_layers:
        near = within(point, model.window)
        costs["attention"] += model.windowed_layers * (attend(near, model) - attention)
        costs["softmax"] += model.windowed_layers * (times.softmax(near.attended, model) - times.softmax(scores, model))
    again = layers - 1 if model.shared_feed_forward else 0
    for count, parts in (
        (layers - again - model.dense_layers, layer_parts(model, times, rows)),
        (again, layer_parts(model, times, rows, repeated=True)),
        (model.dense_layers, layer_parts(without_experts(model), times, rows)),
    ):
        if apart:
            inner, kv = model.heads * model.head_dim, model.kv_heads * model.head_dim
            parts["qkv"] = times.gemm(rows, inner, model.hidden) + 2 * times.gemm(rows, kv, model.hidden)
        for part, seconds in parts.items():
            costs[KIND_OF[part]] += count * seconds
    return costs
