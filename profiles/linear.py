"""A device whose steps take so long for each token, and so long beside: what INFERCEPT and LAMPS reckon with."""

from __future__ import annotations

from profiles.curve import Curve
from profiles.profile import PROVENANCE, DeviceProfile, kv_capacity

TOKENS = 1 << 24  # of a step, and of the context that it attends to; and rows


def linear(
    model: str,
    device: str,
    token_seconds: float,
    step_seconds: float,
    memory_bytes: int,
    weight_bytes: int,
    kv_bytes_per_token: int,
    max_model_len: int,
    swap_token_seconds: float,
    utilization: float = 0.9,
) -> DeviceProfile:
    """The profile of `model` on `device` whose steps take `token_seconds` for each token and `step_seconds` (s).

    Context is free, prefill and decode cost alike. KV fits in the `utilization` share of `memory_bytes`, beside
    `weight_bytes`; a step that copies KV takes `swap_token_seconds` (s) more for each of its tokens. ValueError unless
    all seconds are positive.
    """
    given = {"token_seconds": token_seconds, "step_seconds": step_seconds, "swap_token_seconds": swap_token_seconds}
    for name, seconds in given.items():
        if not seconds > 0:
            raise ValueError(f"{model} on {device}: {name} must be positive, got {seconds}")
    ends = tuple(step_seconds + token_seconds * tokens for tokens in (1, TOKENS))
    prefill, decode = (
        Curve(f"{model} on {device}, {part}", (1, TOKENS), ends, (0.0, 0.0), TOKENS) for part in ("prefill", "decode")
    )
    return DeviceProfile(
        model=model,
        device=device,
        kind="analytic",
        prefill=prefill,
        decode=decode,
        fixed_seconds=step_seconds,
        kv_bytes_per_token=kv_bytes_per_token,
        move_bytes_per_second=kv_bytes_per_token / swap_token_seconds,
        kv_capacity_tokens=kv_capacity(memory_bytes, weight_bytes, kv_bytes_per_token, utilization),
        max_model_len=max_model_len,
        provenance=dict.fromkeys(PROVENANCE, f"none: {token_seconds:g} s a token and {step_seconds:g} s a step"),
    )
