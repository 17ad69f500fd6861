"""What a simulation is given, looked at before it begins."""

from __future__ import annotations

from sim.cluster import Cluster
from sim.policy import Batching, Eviction, Order, Policy, Predictor


def check_parts(policy: Policy, cluster: Cluster, predictor: Predictor, unservable: str, audit: bool) -> None:
    """TypeError for a part that is none, ValueError for what does not go together."""
    if not isinstance(policy.order, Order):
        raise TypeError(f"an order must be a sim.policy.Order, {type(policy.order).__name__} is none")
    for batching in (policy.batching, *(device.batching for device in cluster.devices if device.batching)):
        if not isinstance(batching, Batching):
            raise TypeError(f"a batching must be a sim.policy.Batching, {type(batching).__name__} is none")
    if not isinstance(policy.eviction, Eviction):
        raise TypeError(f"an eviction must be a sim.policy.Eviction, {type(policy.eviction).__name__} is none")
    if not isinstance(predictor, Predictor):
        raise TypeError(f"a predictor must be a sim.policy.Predictor, {type(predictor).__name__} is none")
    if unservable not in ("reject", "fail"):
        raise ValueError(f"unservable must be reject or fail, got {unservable!r}")
    if cluster.steps_together and audit:
        raise ValueError("the memory of a cluster that steps_together is not audited")
