"""From a configuration to the parts of a run: devices, requests, predictor, calibration, policy."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from experiments.identity.digests import digest_of
from experiments.papers.rtlm.calibration import calibrate
from experiments.prediction.trained import checked
from experiments.run.training import fitted, wanted
from profiles.kernel_profile import KernelProfile
from profiles.profile import DeviceProfile
from sim import Cluster, Device, Policy, Request, Truth
from sim.policy import Predictor
from traces.kinds import KINDS
from traces.operations import counted
from traces.schema import TraceError

OPTIONAL_COLUMNS = (
    "max_tokens", "prompt_text", "client", "task", "session", "priority", "deadline", "think", "id_tokens",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a run reads: the trace of its seed, the rows that something is fitted to (None: nothing is), the devices."""

    replay: pd.DataFrame
    training: pd.DataFrame | None
    cluster: Cluster
    provenance: dict[str, str]
    weights: dict[str, str]

    def digests(self) -> dict[str, str]:
        """The sha256 of each input's content."""
        profiles = {f"profile.{device.name}": digest_of(device.profile) for device in self.cluster.devices}
        tables = {"replay": digest_of(self.replay)}
        if self.training is not None:
            tables["training"] = digest_of(self.training)
        return {**tables, **profiles, **self.weights}


@dataclass(frozen=True, slots=True)
class Run:
    """The parts of a simulation that decide, and the constants that were found for them."""

    policy: Policy
    predictor: Predictor
    calibration: dict[str, float]


def read_inputs(cfg: DictConfig) -> Inputs:
    """Read the files that `cfg` names, and draw the trace of its seed."""
    cluster = build_cluster(cfg.cluster)
    fits = fitted(cfg)
    try:
        replay, training, provenance = read_trace(cfg.trace, cfg.seed, bool(fits))
    except TraceError as error:
        raise TraceError(f"{error} (fitted here: {', '.join(fits)})" if fits else str(error)) from error
    file = cfg.predictor.get("weights")
    weights = {"weights": checked(file, replay)} if file else {}
    return Inputs(replay, training, cluster, {"trace": provenance, **profile_provenance(cluster)}, weights)


def read_trace(cfg: DictConfig, seed: int, trains: bool = True) -> tuple[pd.DataFrame, pd.DataFrame | None, str]:
    """The rows that `seed` draws from the trace of `cfg`, its training rows if a part `trains`, and its provenance."""
    replay, provenance = _draw(_yaml(cfg), seed)
    return replay, _training(_rateless(cfg)) if trains else None, provenance


def _yaml(cfg: DictConfig) -> str:
    return OmegaConf.to_yaml(cfg, resolve=True)


def _rateless(cfg: DictConfig) -> str:
    """The yaml text of a trace at one request/s, for training rows are the same at every rate."""
    cfg = cfg.copy()
    if cfg.get("rate") is not None:
        cfg.rate = 1.0
    return _yaml(cfg)


@functools.lru_cache(maxsize=32)
def _draw(trace: str, seed: int) -> tuple[pd.DataFrame, str]:
    """The replay of `seed` and the provenance, with what was cut, of the trace in a yaml text.

    Kept, for in a sweep each process meets the same trace under many policies.
    """
    source = instantiate(OmegaConf.create(trace), _convert_="all")
    arrivals, lengths = (np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(2))
    table = source.replay(arrivals, lengths)
    return table, source.provenance + counted(table)


@functools.lru_cache(maxsize=8)
def _training(trace: str) -> pd.DataFrame:
    """The training rows of the trace in a yaml text."""
    return instantiate(OmegaConf.create(trace), _convert_="all").training()


def build(cfg: DictConfig, cluster: Cluster, training: pd.DataFrame | None) -> Run:
    """Build the policy and the predictor that `cfg` describes, what they name of the calibration found."""
    cfg = cfg.copy()
    if training is None:
        predictor: Predictor = build_predictor(cfg.predictor, None)
        calibration = {name: cfg.calibration[name] for name in wanted(cfg)}
    else:
        predictor, scores = _fitted(_yaml(cfg.predictor), _rateless(cfg.trace), "tau" in wanted(cfg))
        calibration = calibrate(cfg.calibration, wanted(cfg), cluster, training, scores)
        for name, value in calibration.items():
            OmegaConf.update(cfg, f"calibration.{name}", value)
    return Run(instantiate(cfg.policy, _convert_="all"), predictor, calibration)


@functools.lru_cache(maxsize=32)
def _fitted(predictor: str, trace: str, scored: bool) -> tuple[Predictor, list[float]]:
    """The predictor of one yaml text, fitted to the training rows of the trace of the other; `scored`, its scores too.

    Kept, for in a sweep each process meets the same predictor under many policies and seeds.
    """
    training = _training(trace)
    part = build_predictor(OmegaConf.create(predictor), training)
    return part, uncertainties(part, training) if scored else []


def build_cluster(cfg: DictConfig) -> Cluster:
    """The cluster of `cfg`: `count` devices of each entry, and the link between them."""
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
                )
            )
    return Cluster(tuple(devices), instantiate(cfg.link))


def profile_provenance(cluster: Cluster) -> dict[str, str]:
    """Device name -> model/device and kind of the profile under it."""
    return {
        device.name: f"{device.profile.model}/{device.profile.device} ({device.profile.kind})"
        for device in cluster.devices
        if isinstance(device.profile, DeviceProfile | KernelProfile)
    }


def kv_room(cluster: Cluster) -> dict[str, str]:
    """Device name -> the tokens of KV that it holds, and what was not taken off."""
    return {
        device.name: f"{device.kv_tokens:,} tokens as set"
        if device.kv_tokens != getattr(device.profile, "kv_capacity_tokens", None)
        else f"{device.kv_tokens:,} tokens beside the weights, activations not taken off"
        for device in cluster.devices
    }


def to_requests(table: pd.DataFrame) -> list[Request]:
    """The rows of a checked trace as requests, numbered from 0 in the order of arrival.

    ValueError for a trace with pauses, which the engine does not simulate yet.
    """
    if "pauses" in table.columns:
        raise ValueError("the engine does not simulate pauses (API calls) yet: this trace can only be described")
    columns: dict[str, Sequence[Any]] = {
        name: [None if pd.isna(value) else value for value in table[name].tolist()]
        for name in OPTIONAL_COLUMNS
        if name in table.columns
    }
    if "prompt_ids" in table.columns:
        columns["prompt_ids"] = [tuple(ids) for ids in table["prompt_ids"]]
    features = _features(table)
    required = zip(
        table["arrival"].tolist(), table["prompt_tokens"].tolist(), table["output_tokens"].tolist(), strict=True
    )
    return [
        Request(
            id=number,
            arrival=arrival,
            prompt_tokens=prompt_tokens,
            truth=Truth(output_tokens),
            features=features[number],
            **{name: values[number] for name, values in columns.items() if values[number] is not None},
        )
        for number, (arrival, prompt_tokens, output_tokens) in enumerate(required)
    ]


def _features(table: pd.DataFrame) -> list[tuple[float, ...]]:
    if not set(KINDS) <= set(table.columns):
        return [()] * len(table)
    return list(zip(*(table[kind].astype(float).tolist() for kind in KINDS), strict=True))


def build_predictor(cfg: DictConfig, training: pd.DataFrame | None) -> Predictor:
    """The predictor of `cfg`; one given as a partial is fitted to the training rows first, an answer each."""
    part = instantiate(cfg, _convert_="all")
    if isinstance(part, functools.partial):
        if training is None:
            raise ValueError(f"{cfg._target_} is fitted to training rows, and there are none")
        part = part(to_requests(training), [[tokens] for tokens in training["output_tokens"].tolist()])
    return part


def uncertainties(predictor: Predictor, training: pd.DataFrame) -> list[float]:
    """RT-LM's uncertainty score of each training row, tokens."""
    return [predictor.predict(request).uncertainty for request in to_requests(training)]
