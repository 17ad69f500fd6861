"""What the requests of a run take on its devices, where a profile says so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from sim import Cluster
from sim.record import Table


@runtime_checkable
class Accounting(Protocol):
    """A profile that says what a request alone takes; `held` names what is held and not used up."""

    held: frozenset[str]

    def account(self, prompt_tokens: int, output_tokens: int) -> Mapping[str, float]:
        """Each figure by its name, in units that the name tells or that have none."""
        ...


def costs(cluster: Cluster, requests: Table) -> dict[str, dict[str, float]]:
    """`costs` -> figure -> the sum over the finished requests, the largest of what is held; nothing if no one says."""
    found: dict[str, float] = {}
    profiles = {device.name: device.profile for device in cluster.devices if isinstance(device.profile, Accounting)}
    columns = ("status", "replica", "prompt_tokens", "output_tokens")
    rows = Counter(zip(*(requests[name].tolist() for name in columns), strict=True)) if profiles else {}
    for (status, replica, prompt_tokens, output_tokens), count in rows.items():
        if status != "finished" or replica not in profiles:
            continue
        profile = profiles[replica]
        for name, figure in profile.account(prompt_tokens, output_tokens).items():
            before = found.get(name, 0.0)
            found[name] = max(before, figure) if name in profile.held else before + count * figure
    return {"costs": found} if found else {}
