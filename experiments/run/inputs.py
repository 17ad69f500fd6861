"""What a run reads: its devices, the trace that its seed draws, and the rows to which parts are fitted."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import pandas as pd
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from experiments.identity.digests import digest_of
from experiments.prediction.trained import checked
from experiments.run.node import Node
from experiments.run.training import fitted
from policies.routing.network import find
from profiles.kernel_profile import KernelProfile
from profiles.profile import DeviceProfile
from sim import Cluster, Device, HostMemory, Request
from traces.checksum import sha256
from traces.operations import counted
from traces.requests import to_requests
from traces.schema import TraceError

_digests: dict[int, tuple[object, str]] = {}  # by the id of what is alive


@dataclass(frozen=True, eq=False)
class Training:
    """The rows of a trace that parts are fitted to: one object for equal settings, under which fits are kept."""

    table: pd.DataFrame

    @cached_property
    def requests(self) -> list[Request]:
        """The rows as requests."""
        return to_requests(self.table)


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a run reads: the trace of its seed, the rows to which `fitted` is fitted (None: nothing is), the devices."""

    replay: pd.DataFrame
    training: Training | None
    cluster: Cluster
    provenance: dict[str, str]
    weights: dict[str, str]
    fitted: Sequence[str] = ()

    def digests(self) -> dict[str, str]:
        """The sha256 of each input's content; kept, for in a sweep each process meets the same ones."""
        devices = {device.name for device in self.cluster.devices}
        profiles = {
            f"{'profile' if name in devices else 'decoding'}.{name}": _digest(profile)
            for name, profile in profiles_of(self.cluster).items()
        }
        tables = {"replay": _digest(self.replay)}
        if self.training is not None:
            tables["training"] = _digest(self.training.table)
        return {**tables, **profiles, **self.weights}


def read_inputs(cfg: DictConfig) -> Inputs:
    """Read the files that `cfg` names, and draw the trace of its seed."""
    cluster = _cluster(Node.of(cfg.cluster))
    fits = fitted(cfg)
    try:
        replay, training, provenance = read_trace(cfg.trace, cfg.seed, bool(fits))
    except TraceError as error:
        raise TraceError(f"{error} (fitted here: {', '.join(fits)})" if fits else str(error)) from error
    file = cfg.predictor.get("weights")
    weights = {"weights": checked(file, replay)} if file else {}
    if network := cfg.policy.routing.get("network"):
        weights["network"] = sha256(find(network))
    return Inputs(replay, training, cluster, {"trace": provenance, **profile_provenance(cluster)}, weights, fits)


def read_trace(cfg: DictConfig, seed: int, trains: bool = True) -> tuple[pd.DataFrame, Training | None, str]:
    """The rows that `seed` draws from the trace of `cfg`, its training rows if a part `trains`, and its provenance."""
    replay, provenance = _draw(Node.of(cfg), seed)
    return replay, _training(_rateless(cfg)) if trains else None, provenance


def _rateless(cfg: DictConfig) -> Node:
    """A trace at one request/s, for training rows are the same at every rate."""
    if cfg.get("rate") is None:
        return Node.of(cfg)
    spelled: Any = OmegaConf.to_container(cfg, resolve=False)
    cfg.rate = 1.0
    try:
        return Node.of(cfg)
    finally:  # put back, for a copy of a part would be one of all settings
        cfg.rate = spelled["rate"]


@lru_cache(maxsize=128)
def _draw(trace: Node, seed: int) -> tuple[pd.DataFrame, str]:
    """The replay of `seed` and the provenance, with what was cut.

    Kept, for in a sweep each process meets the same trace under many policies.
    """
    source = trace.instantiate()
    arrivals, lengths = (np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(2))
    table = source.replay(arrivals, lengths)
    return table, source.provenance + counted(table)


@lru_cache(maxsize=8)
def _training(trace: Node) -> Training:
    return Training(trace.instantiate().training())


@lru_cache(maxsize=16)
def _cluster(cluster: Node) -> Cluster:
    return build_cluster(cluster.cfg)


def _digest(value: Any) -> str:
    """The sha256 of what is read once and never written; a table is not kept for its sake."""
    key = id(value)
    if key not in _digests:
        held = weakref.ref(value, lambda _: _digests.pop(key)) if isinstance(value, pd.DataFrame) else value
        _digests[key] = held, digest_of(value)
    return _digests[key][1]


def build_cluster(cfg: DictConfig) -> Cluster:
    """The cluster of `cfg`: `count` devices of each entry, the link between them, and whether they step together."""
    devices = []
    for name, entry in cfg.devices.items():
        profile: DeviceProfile | KernelProfile = instantiate(entry.profile)
        batching = instantiate(entry.batching)
        for number in range(entry.count):
            devices.append(
                Device(
                    name=name if entry.count == 1 else f"{name}{number}",
                    kind=entry.kind,
                    profile=profile,
                    kv_tokens=entry.kv_tokens or profile.kv_capacity_tokens,
                    max_model_len=entry.max_model_len or profile.max_model_len,
                    block_size=entry.block_size,
                    kv_bytes_per_token=profile.kv_bytes_per_token,
                    prefix_caching=entry.prefix_caching,
                    batching=batching,
                    host=instantiate(entry.get("host")) or HostMemory(),
                    host_time=instantiate(entry.get("host_time")),
                    decoding=instantiate(entry.get("decoding")),
                    model=getattr(profile, "model", ""),
                )
            )
    return Cluster(tuple(devices), instantiate(cfg.link), cfg.get("steps_together", False))


def profiles_of(cluster: Cluster) -> dict[str, Any]:
    """The profile of each device, by its name, and those that its decoding has beside it (`gpu.draft`)."""
    found: dict[str, Any] = {}
    for device in cluster.devices:
        found[device.name] = device.profile
        names = [one.name for one in fields(device.decoding)] if is_dataclass(device.decoding) else list[str]()
        own = {name: getattr(device.decoding, name) for name in names}
        found |= {f"{device.name}.{name}": part for name, part in own.items() if hasattr(part, "step_time")}
    return found


def profile_provenance(cluster: Cluster) -> dict[str, str]:
    """Device name -> model/device and kind of the profile under it, and of those of its decoding."""
    return {
        name: f"{profile.model}/{profile.device} ({profile.kind})"
        for name, profile in profiles_of(cluster).items()
        if all(hasattr(profile, part) for part in ("model", "device", "kind"))
    }


def kv_room(cluster: Cluster) -> dict[str, str]:
    """Device name -> the tokens of KV that it holds, and what was not taken off."""

    def room(device: Device) -> str:
        if device.kv_tokens != getattr(device.profile, "kv_capacity_tokens", None):
            return f"{device.kv_tokens:,} tokens as set"
        stated = getattr(device.profile, "provenance", {}).get("room")
        beside = f"({stated})" if stated else "beside the weights"
        return f"{device.kv_tokens:,} tokens {beside}, activations not taken off"

    return {device.name: room(device) for device in cluster.devices}
