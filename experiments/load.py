"""`load=`: the arrival rate as a multiple of what a system can serve of the run's own trace, on its own cluster."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import pandas as pd
from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from experiments.build import build, build_cluster, read_trace, to_requests
from experiments.training import fitted, keeping_rows
from sim import Record, simulate
from traces.operations import apart, ids_used, joined

SATURATING = 1000  # requests, at least, that are there when the measured ones come, and so many that are measured
SHARED = ("experiment", "policy/batching", "policy/eviction", "policy/overhead")  # what systems compared have in common
ELSEWHERE = ("load", "load_of", "name", "results", "warmup", "horizon", "record", "leap")  # what no capacity depends on


def at_load(cfg: DictConfig, overrides: Sequence[str] = ()) -> DictConfig:
    """`cfg` as it is run: with the rows that its trace keeps back, and the arrival rate that its `load` asks for.

    The rate is `load` times the `capacity` of the system `load_of`, on the cluster and the trace of `cfg` (but for what
    `load_of` says of `trace.`), with its batching where the `overrides` of the command line chose that apart from the
    policy. ValueError where the trace has no rate to set.
    """
    if missing := sorted(OmegaConf.missing_keys(cfg)):
        raise ValueError(f"{missing[0]} is not given, and has no default: {missing[0]}=...")
    if cfg.load is None:
        return keeping_rows(cfg, bool(fitted(cfg)))
    if isinstance(cfg.load, bool | str) or not 0 < cfg.load < math.inf:
        raise ValueError(f"load must be a positive multiple of the capacity, got {cfg.load}")
    if "rate" not in cfg.trace:
        raise ValueError(f"load={cfg.load} needs a trace with a rate to set; this one has {', '.join(cfg.trace)}")
    system = _system(str(cfg.load_of), _kept(overrides))
    of = cfg.copy()
    of.policy, of.predictor = system.policy, system.predictor
    cfg = keeping_rows(cfg, bool(fitted(cfg) or fitted(of)))
    of.trace = cfg.trace.copy()
    of.trace.rate = 1.0
    for override in _parsed(str(cfg.load_of).split()):
        if override.key_or_group.startswith("trace."):
            OmegaConf.update(of, override.key_or_group, override.value())
    read = OmegaConf.masked_copy(of, [str(name) for name in of if name not in ELSEWHERE])
    cfg.trace.rate = float(f"{cfg.load * _capacity(OmegaConf.to_yaml(read)):.6g}")
    return cfg


def described(cfg: DictConfig) -> dict[str, Any]:
    """What a run says of its load: requests/s at which its requests come, the capacity, and whose that is."""
    return {"rate": cfg.trace.rate, "capacity": cfg.trace.rate / cfg.load, "of": str(cfg.load_of)}


@functools.lru_cache(maxsize=64)
def _capacity(text: str) -> float:
    return capacity(OmegaConf.create(text))


def capacity(cfg: DictConfig) -> float:
    """Requests/s that the system of `cfg` serves of its trace when it never waits for one.

    Copies of the trace (none shares a prefix with another) are all there at the start, `SATURATING` requests or more;
    as many again are added, and what they add to the time until the last has ended is what counts: neither the filling
    of the first batches nor the emptying of the last is in it.
    """
    replay, training, _ = read_trace(cfg.trace, cfg.seed, bool(fitted(cfg)))
    copies = -(-SATURATING // len(replay))
    cluster = build_cluster(cfg.cluster)
    ended, count = [], []
    for many in (copies, 2 * copies):
        parts = build(cfg, cluster, training)
        requests = to_requests(_at_once(replay, many))
        tables = simulate(requests, parts.policy, cluster, parts.predictor, record=Record.REQUESTS)
        ends = tables.requests["finished"][tables.requests["status"] == "finished"]
        ended.append(float(ends.max()) if len(ends) else 0.0)
        count.append(len(ends))
    if not ended[1] > ended[0]:
        raise ValueError(
            f"load has no capacity to be a multiple of: of {len(replay)} requests {count[0] // copies} can be served, "
            "and more of them take no longer"
        )
    return (count[1] - count[0]) / (ended[1] - ended[0])


def _at_once(table: pd.DataFrame, copies: int) -> pd.DataFrame:
    """So many copies of `table`, whose requests are all there at the start."""
    table = table.drop(columns=[name for name in ("think", "deadline") if name in table]).assign(arrival=0.0)
    ids = ids_used(table)
    return joined([apart(table, suffix=f" ({number})", first_id=ids * number) for number in range(copies)])


def _kept(overrides: Sequence[str]) -> tuple[str, ...]:
    """Those of a run's overrides that the system whose capacity is asked for shares with it."""
    values = tuple(f"{name.replace('/', '.')}." for name in SHARED if "/" in name)
    kept = (one for one in _parsed(overrides) if one.key_or_group in SHARED or one.key_or_group.startswith(values))
    return tuple(one.input_line or "" for one in kept)


def _parsed(overrides: Sequence[str]) -> list[Override]:
    return OverridesParser.create().parse_overrides(list(overrides))


def check_load_of(load_of: str, overrides: Sequence[str]) -> None:
    """ValueError, in one line, unless `load_of` is choices of a system whose capacity can be measured."""
    for one in load_of.split():
        if one.startswith("cluster") or "=" not in one:
            raise ValueError(f"load_of={load_of!r} names no system (system=fifo does): {one!r} is none of its choices")
    _system(load_of, _kept(overrides))


@functools.lru_cache(maxsize=64)
def _system(load_of: str, shared: tuple[str, ...]) -> DictConfig:
    """The configuration of the system `load_of` (`system=fifo`, or several such choices), with the `shared` overrides.

    A value of the run's batching that the batching of `load_of` does not have is left out.
    """
    chosen = [one for one in load_of.split() if not one.startswith("trace.")]
    own = {one.split("=", 1)[0] for one in chosen}
    shared = tuple(one for one in shared if one.split("=", 1)[0] not in own)
    if "policy/batching" in own:
        shared = tuple(one for one in shared if not one.startswith(("policy.batching.", "experiment=")))
    groups = [one for one in shared if "." not in one.split("=", 1)[0]]
    try:
        cfg = _compose([*groups, *chosen])
        values = [one for one in shared if one not in groups and _has(cfg, one.split("=", 1)[0])]
        return _compose([*groups, *chosen, *values]) if values else cfg
    except HydraException as error:
        said = " ".join(str(error).split())
        raise ValueError(f"load_of={load_of!r} names no system (system=fifo does): {said}") from error


def _has(cfg: DictConfig, key: str) -> bool:
    folder, _, name = key.rpartition(".")
    return name in (OmegaConf.select(cfg, folder) or ())


def _compose(overrides: list[str]) -> DictConfig:
    if GlobalHydra.instance().is_initialized():
        return compose("config", overrides)
    with initialize_config_module("experiments.conf", version_base="1.3"):
        return compose("config", overrides)
