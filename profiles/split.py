"""A model cut in two: first layers at a client, the others at a server, and a link between them in every pass."""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate

from profiles.curve import Curve
from profiles.profile import DeviceProfile
from sim import Link

TOKEN_BYTES = 4  # [A] of a token's id, which goes up where the client computes nothing, and comes down from the server


def split(
    client: DeviceProfile,
    server: DeviceProfile,
    layers: int,
    client_layers: int,
    hidden: int,
    up: Link,
    down: Link,
    activation_bytes: int = 2,
) -> DeviceProfile:
    """The profile of a model of `layers`, of which the first `client_layers` run by `client`, the others by `server`.

    Either takes its share of layers of the seconds of its profile, embedding, head and host alike. A pass sends
    `hidden` activations of `activation_bytes` for each of its tokens up (with no layer at the client their ids), and
    the id of the next one down; it is of one client, whose requests share it. ValueError unless both profiles are of
    one model, and it has so many layers.
    """
    if client.model != server.model:
        raise ValueError(f"a split is of one model, got {client.model} at the client, {server.model} at the server")
    if not 0 <= client_layers <= layers or layers < 1:
        raise ValueError(f"client_layers must be 0 to {layers}, got {client_layers}")
    if activation_bytes < 1 or hidden < 1:
        raise ValueError(f"activations must have bytes, got {hidden} of activation_bytes={activation_bytes}")
    share = client_layers / layers
    size = activation_bytes * hidden if client_layers else TOKEN_BYTES

    def crossing(tokens: int, sequences: int) -> float:
        if client_layers == layers:
            return 0.0
        return up.seconds(size * tokens) + down.seconds(TOKEN_BYTES * sequences)

    where = f"{client.device} for {client_layers} of {layers} layers, {server.device}"
    room = [int(one.kv_capacity_tokens / part) for one, part in ((client, share), (server, 1 - share)) if part]
    latency = up.latency + down.latency if client_layers < layers else 0.0
    return DeviceProfile(
        model=client.model,
        device=where,
        kind="derived",
        prefill=_joined("prefill", client.prefill, server.prefill, share, lambda tokens: crossing(tokens, 1)),
        decode=_joined("decode", client.decode, server.decode, share, lambda jobs: crossing(jobs, jobs)),
        fixed_seconds=share * client.fixed_seconds + (1 - share) * server.fixed_seconds + latency,
        kv_bytes_per_token=server.kv_bytes_per_token,
        move_bytes_per_second=min(client.move_bytes_per_second, server.move_bytes_per_second),
        kv_capacity_tokens=min(room),
        max_model_len=min(client.max_model_len, server.max_model_len),
        provenance={**server.provenance, "derived": f"{client.model} cut in two: {where}, {up} up and {down} down"},
    )


def _joined(phase: str, first: Curve, then: Curve, share: float, link: Callable[[int], float]) -> Curve:
    """`share` of `first`, the rest of `then`, and the link's seconds, which are linear in the tokens of a pass."""
    last = min(first.knots[-1], then.knots[-1])
    knots = tuple(sorted({one for one in (1, *first.knots, *then.knots) if one <= last}))
    lines = [(first.line(one, 0), then.line(one, 0), one) for one in knots]
    prices = (tokens * (share * one.slope + (1 - share) * other.slope) for one, other, tokens in lines)
    return Curve(
        f"{first.name} and {then.name}, {phase}",
        knots,
        tuple(share * one.base + (1 - share) * other.base + link(tokens) for one, other, tokens in lines),
        tuple(accumulate(prices, max)),  # they do not fall, but in their last bits
        min(first.max_context, then.max_context),
        min(first.extrapolation, then.extrapolation),
    )
