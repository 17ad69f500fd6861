"""`load=`: the arrival rate as a multiple of what a system can serve of the run's own trace, on its own cluster."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from numpy.typing import NDArray
from omegaconf import MISSING, DictConfig, OmegaConf

from experiments.conf.copies import copied
from experiments.run.inputs import build_cluster, read_trace
from experiments.run.node import Node
from experiments.run.parts import build
from experiments.run.references import REFERENCE, behind, has, leaves, references, within
from experiments.run.training import fitted, keeping_rows, wanted
from sim import Record, simulate
from sim.record import Table
from traces.operations import apart, ids_used, joined
from traces.requests import to_requests

SATURATING = 2000  # requests, at least, that are there at the start
ROUNDS = 10  # how often, at least, they could fill every seat of every replica
CHOOSES = ("policy", "system", "predictor")
SHARED = ("experiment", "policy/batching", "policy/eviction", "policy/overhead")  # what systems compared have in common
KEPT = 1024  # capacities that a process keeps
ELSEWHERE = ("load", "load_of", "name", "results", "warmup", "horizon", "record", "leap")  # what no capacity depends on
REPLACED = (*ELSEWHERE, "policy", "predictor")  # those of the system whose capacity it is count in their place
_known: dict[tuple[Any, ...], tuple[bool, float]] = {}


def at_load(cfg: DictConfig, overrides: Sequence[str] = ()) -> DictConfig:
    """`cfg` as it is run: with the rows that its trace keeps back, and the arrival rate that its `load` asks for.

    The rate is `load` times the `capacity` of the system `load_of`, on the cluster and the trace of `cfg` (but for what
    `load_of` says of `trace.`), with its batching where the `overrides` of the command line chose that apart from the
    policy. ValueError where the trace has no rate to set.
    """
    held = {name: value if isinstance(value, list) else [value] for name, value in leaves(cfg).items()}
    if missing := sorted(name for name, values in held.items() if MISSING in values):
        raise ValueError(f"{missing[0]} is not given, and has no default: {missing[0]}=...")
    if cfg.load is None:
        return keeping_rows(cfg, bool(fitted(cfg)))
    if isinstance(cfg.load, bool | str) or not 0 < cfg.load < math.inf:
        raise ValueError(f"load must be a positive multiple of the capacity, got {cfg.load}")
    if "rate" not in cfg.trace:
        raise ValueError(f"load={cfg.load} needs a trace with a rate to set; this one has {', '.join(cfg.trace)}")
    asked = str(cfg.load_of), _kept(overrides), bool(fitted(cfg)), Node.of(cfg, resolve=False, but=REPLACED)
    if asked not in _known:  # in a sweep each process meets the same under many policies
        if len(_known) == KEPT:
            del _known[next(iter(_known))]  # the oldest: a sweep goes on to other models and devices
        _known[asked] = _of_system(cfg, overrides)
    keeps, requests_per_second = _known[asked]
    kept = keeping_rows(cfg, keeps)
    cfg = copied(cfg) if kept is cfg else kept
    cfg.trace.rate = float(f"{cfg.load * requests_per_second:.6g}")
    return cfg


def _of_system(cfg: DictConfig, overrides: Sequence[str]) -> tuple[bool, float]:
    """Whether the trace of `cfg` is to keep rows back, and the capacity of the system that its `load` is of."""
    system, of = copied(system_of(str(cfg.load_of), overrides)), copied(cfg)
    for one in (system, of):
        OmegaConf.set_struct(one, False)  # the calibration of one may have what the other has not
    of.policy, of.predictor = system.policy, system.predictor
    of.calibration = OmegaConf.merge(system.get("calibration", {}), cfg.get("calibration", {}))
    keeps = bool(fitted(cfg) or fitted(of))
    of.trace = keeping_rows(of, keeps).trace
    of.trace.rate = 1.0
    for override in _parsed(str(cfg.load_of).split()):
        if override.key_or_group.startswith("trace."):
            OmegaConf.update(of, override.key_or_group, override.value())
    of.calibration = _taken(of)
    plain = dict(sorted(Node.of(of, resolve=False, but=ELSEWHERE).plain.items()))  # in one order, for all systems
    try:
        return keeps, _capacity(Node(repr(plain), plain))
    except ValueError as error:
        raise ValueError(f"load={cfg.load}, of load_of={cfg.load_of}: {error}") from error


def _taken(cfg: DictConfig) -> dict[str, Any]:
    """That of the calibration of `cfg` which its parts name: what others of a sweep have besides says nothing of it."""
    plain: Any = OmegaConf.to_container(cfg.calibration, resolve=False)
    raw, names = leaves(cfg), wanted(cfg)
    parts = ("trace", "cluster", "predictor", "policy", *[f"calibration.found_by.{name}" for name in names])
    said = {name: raw[name] for part in parts for name in behind(raw, part)}
    targets = {target for name, value in said.items() for target in references(name, value)}
    if "calibration" in targets or any("${" in REFERENCE.sub("", str(value)) for value in said.values()):
        return dict(plain)  # for it may name any of it
    taken = {target.split(".")[1] for target in targets if within(target, "calibration")}
    kept = {key: value for key, value in plain.items() if key in taken}
    return kept | {"found_by": {name: plain["found_by"][name] for name in names}}


def system_of(load_of: str, overrides: Sequence[str] = ()) -> DictConfig:
    """The configuration of the system `load_of`, with what the `overrides` of a command line have in common with it.

    ValueError, in a line, where it says more than a system and what its trace is without, or names none.
    """
    for override in _said(load_of):
        key = override.key_or_group
        if key not in CHOOSES and not key.startswith(("policy.", "policy/", "predictor.", "trace.")):
            raise ValueError(
                f"load_of={load_of!r}: {override.input_line} is no choice of a system (system=, policy=, predictor=, "
                "policy/batching= ...), nor a setting of those or of the trace; the cluster and the rest are the run's"
            )
    return _system(load_of, _kept(overrides))


def described(cfg: DictConfig) -> dict[str, Any]:
    """What a run says of its load: requests/s at which its requests come, the capacity, and whose that is."""
    return {"rate": cfg.trace.rate, "capacity": cfg.trace.rate / cfg.load, "of": str(cfg.load_of)}


@functools.lru_cache(maxsize=KEPT)
def _capacity(of: Node) -> float:
    return capacity(of.cfg)


def capacity(cfg: DictConfig) -> float:
    """Requests/s of its trace that the system of `cfg` serves when it never waits for one.

    Copies of the trace (none shares a prefix with another) are all there at the start, so many that each replica could
    be filled `ROUNDS` times. What ends at a replica counts from when it has ended two fillings until its last job was
    admitted: neither the first batches, which begin alike, nor the emptying of the last are in it. Requests that can
    never be served come along with the others, and take no time.
    """
    replay, training, _ = read_trace(cfg.trace, cfg.seed, bool(fitted(cfg)))
    cluster = build_cluster(cfg.cluster)
    parts = build(cfg, cluster, training)
    seats = {
        device.name: (device.batching or parts.policy.batching).execution.max_num_seqs for device in cluster.devices
    }
    wanted = max(SATURATING, ROUNDS * len(seats) * max(seats.values()))
    requests = to_requests(_at_once(replay, -(-wanted // len(replay))))
    table = simulate(requests, parts.policy, cluster, parts.predictor, record=Record.REQUESTS).requests
    served = table["status"] == "finished"
    rates = [_steady(table, served & (table["replica"] == name), many) for name, many in seats.items()]
    if not served.any() or not sum(rates) > 0:
        raise ValueError(
            f"there is no capacity to be a multiple of: {int(served.sum()):,} of {len(served):,} requests could be "
            "served, all that are there at the start at once"
        )
    return sum(rates) / float(served.mean())


def _steady(table: Table, mask: NDArray[np.bool_], seats: int) -> float:
    """Requests/s that end at one replica, whose requests `mask` tells, while others wait for one of its `seats`."""
    ends = np.sort(table["finished"][mask])
    if len(ends) <= 2 * seats:
        return 0.0
    start, until = ends[2 * seats - 1], table["first_scheduled"][mask].max()
    return float(((ends > start) & (ends <= until)).sum() / (until - start)) if until > start else 0.0


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


def _said(load_of: str) -> list[Override]:
    try:
        return _parsed(load_of.split())
    except HydraException as error:
        raise ValueError(f"load_of={load_of!r} is no choice of a system, as system=fifo is") from error


def _parsed(overrides: Sequence[str]) -> list[Override]:
    return OverridesParser.create().parse_overrides(list(overrides))


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
        values = [one for one in shared if one not in groups and has(cfg, one.split("=", 1)[0])]
        return _compose([*groups, *chosen, *values]) if values else cfg
    except HydraException as error:
        said = str(error).split(" Available options")[0].splitlines()
        raise ValueError(f"load_of={load_of!r} names no system (system=fifo does): {' '.join(said[:2])}") from error


def _compose(overrides: list[str]) -> DictConfig:
    if GlobalHydra.instance().is_initialized():
        return compose("config", overrides)
    with initialize_config_module("experiments.conf", version_base="1.3"):
        return compose("config", overrides)
