"""A device on which every step takes as long, whatever it holds: what simulators assume that know of no device."""

from __future__ import annotations

from profiles.curve import Curve
from profiles.profile import PROVENANCE, DeviceProfile

TOKENS = 1 << 24  # of a step, and of the context that it attends to; and rows


def constant(seconds: float, kv_capacity_tokens: int, max_model_len: int, name: str = "constant") -> DeviceProfile:
    """The profile of a device called `name` whose every step takes `seconds`; copies of KV take no time to speak of."""
    if not seconds > 0:
        raise ValueError(f"seconds must be positive, got {seconds}")
    prefill, decode = (
        Curve(f"{name}, {part}", (1, TOKENS), (seconds, seconds), (0.0, 0.0), TOKENS) for part in ("prefill", "decode")
    )
    return DeviceProfile(
        model="none",
        device=name,
        kind="analytic",
        prefill=prefill,
        decode=decode,
        fixed_seconds=seconds,
        kv_bytes_per_token=1,
        move_bytes_per_second=1e15,
        kv_capacity_tokens=kv_capacity_tokens,
        max_model_len=max_model_len,
        provenance=dict.fromkeys(PROVENANCE, f"none: every step takes {seconds:g} s"),
    )
