"""What each layer of a model costs at a client, at a server and on the link between them, from sizes and datasheets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np

from policies.placement import Costs, Placement
from profiles.devices import settings
from profiles.operators.architecture import architecture
from profiles.operators.layers import layer_costs
from profiles.operators.roofline import Device, Launching, Roofline
from profiles.point import prefill_point
from sim import Link

ACTIVATION_BYTES = 2  # [A] of each value that goes over the link: float16
RESULT_BYTES = 4  # [A] a class, or the next token


@dataclass(frozen=True)
class Chain:
    """The layers of an `architecture`, one after the other, in a pass over a sequence of one of so many `tokens`.

    What is sent for a token that is not computed yet are `input_bytes`. With a `head` the last layer is that of the LM,
    over the last token alone. What else stands around the layers costs nothing.
    """

    architecture: str
    head: bool
    input_bytes: float
    tokens: Sequence[int]

    def __post_init__(self) -> None:
        object.__setattr__(self, "tokens", tuple(self.tokens))
        if not self.tokens or min(self.tokens) < 1 or not self.input_bytes > 0:
            raise ValueError(f"a chain has tokens and input_bytes, all positive, got {self}")

    def costs(self, tokens: int, server: Roofline, slowdown: float, up: Link, down: Link) -> Costs:
        """Of one sequence of so many `tokens`, alone: a layer takes the client `slowdown` times as long as the server.

        The server's work is its seconds. Between a decoder's layers what an encoder gave goes over the link too.
        """
        model, kind = architecture(self.architecture), "encoder"
        seconds: list[float] = []
        reads: list[int] = []
        for one in layer_costs(model, server, prefill_point(1, tokens)):
            again = bool(model.encoder_layers) and one.kind == kind == "decoder"
            seconds.append(one.seconds)
            reads.append(one.elements * (1 + again))
            kind = one.kind
        if self.head:
            seconds.append(server.gemm(1, model.vocabulary, model.hidden))
            reads.append(model.hidden)
        sizes = [ACTIVATION_BYTES * one for one in reads[1:]]
        return Costs(
            client=slowdown * np.array(seconds),
            server=np.array(seconds),
            work=np.array(seconds),
            up=np.array([up.seconds(size) for size in [self.input_bytes * tokens, *sizes]]),
            down=np.array([down.seconds(size) for size in [*sizes, RESULT_BYTES]]),
        )


@dataclass(frozen=True, slots=True)
class Visits:
    """A request as the server sees it: the work (s) of each visit, and what passes `before` the first (s), in the
    `gaps` between two, and `after` the last."""

    before: float
    works: tuple[float, ...]
    gaps: tuple[float, ...]
    after: float


def visits(costs: Costs, placement: Placement) -> Visits:
    """What the server sees of a request with this placement; no works where all is done at the client."""
    places = [False, *placement.at_server, False]
    outside, works = [0.0], []
    for steps, (before, here) in zip(costs.edges(), pairwise(places), strict=True):
        if here and not before:
            works.append(0.0)
        if not here:
            outside[-1] += float(steps[int(before), 0])
            continue
        own = float(steps[1, 1])
        works[-1] += own
        if not before:
            outside[-1] += float(steps[0, 1]) - own
            outside.append(0.0)
    return Visits(outside[0], tuple(works), tuple(outside[1:-1]), outside[-1] if works else 0.0)


@lru_cache(maxsize=16)
def roofline(device: str, launching: str) -> Roofline:
    """Operator times of a `device` with a datasheet, in float16 where it has that; ValueError names those there are."""
    sheet = Device(**settings("device", device))
    dtype = "float16" if "float16" in sheet.flops_per_second else "float32"
    return Roofline(sheet, dtype, Launching(**settings("launching", launching)))
