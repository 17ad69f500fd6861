"""What tensor parallelism adds to a pass: the devices add up their parts of the hidden states."""

from __future__ import annotations

from typing import Protocol

from profiles.operators.architecture import Architecture
from profiles.point import Point


class Link(Protocol):
    """How long devices take to add up what each of them has."""

    def all_reduce(self, elements: int, devices: int) -> float:
        """Seconds until each of `devices` has the sum of their `elements`."""
        ...


def reduce_seconds(model: Architecture, link: Link, point: Point, devices: int) -> float:
    """Seconds of a pass's all-reduces among `devices`; none for one.

    There is one after the embedding (whose rows are shared out), and in each layer one after the output product and one
    after the down product (Megatron-LM, arXiv 1909.08053, section 3); cross attention has one more. Gathering the
    logits of each sequence's last token is left out: it is less than one all-reduce of a layer.
    """
    if devices == 1:
        return 0.0
    each = link.all_reduce(point.tokens * model.hidden, devices)
    if not model.encoder_layers:
        return (1 + 2 * model.layers) * each
    if model.only_encodes:
        return (1 + 2 * model.encoder_layers) * each
    step = (1 + 3 * model.layers) * link.all_reduce(point.batch * model.hidden, devices)
    return step if point.phase == "decode" else step + (1 + 2 * model.encoder_layers) * each
