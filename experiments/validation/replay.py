"""One trace under one policy, replayed in real time by an engine or in virtual time by the simulator."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from hydra import compose
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from tqdm import tqdm

from experiments.identity.of_run import digest
from experiments.run.inputs import read_trace
from experiments.run.parts import calibrated
from experiments.run.results import Folder
from experiments.run.training import keeping_rows
from experiments.validation.engines import COLUMNS, Engine, priorities
from profiles.measuring.anchors import Reading, rounded
from sim import Cluster, Device, Policy, Prediction, Record, Request, RequestLevel, Tables, simulate
from sim.job import Job
from sim.overhead import Overhead
from sim.policy import Order, Predictor
from traces.requests import to_requests

READINGS = 6  # of the anchor, before and after a run
APART = 2.0  # s between two readings within a run


@dataclass(frozen=True, slots=True)
class Known(Predictor):
    """Predictions made beforehand, by request id; free of charge, for no real clock has run while they were made."""

    predictions: Mapping[int, Prediction]

    def predict(self, request: Request) -> Prediction:
        """What was said of `request`."""
        return self.predictions[request.id]


@dataclass(frozen=True, slots=True)
class Case:
    """One trace under one policy: `rate` in requests/s, `policy` as `policies` names it."""

    rate: float
    seed: int
    policy: str
    requests: tuple[Request, ...]
    parts: Policy
    known: Known
    made_of: Mapping[str, Any]
    provenance: str

    def jobs(self) -> list[Job]:
        """The requests with their predictions, none of them begun."""
        return [Job(request, self.known.predict(request)) for request in self.requests]


def compose_case(overrides: Sequence[str], policy: str, rate: float, seed: int, device: Device) -> Case:
    """The case of `policy` (a name and perhaps settings, with spaces between) at `rate` under a command's `overrides`.

    What predicting and scheduling cost in this project's own code is not charged: a real engine's host time is part of
    its steps, and predictions are made beforehand.
    """
    name, *settings = policy.split()
    cfg = compose("validate", [*overrides, f"policy={name}", f"trace.rate={rate:g}"])
    count = cfg.requests or max(10, round(rate * cfg.seconds))
    length = "requests" if "requests" in cfg.trace else "window"
    added = [f"policy={name}", f"trace.rate={rate:g}", f"trace.{length}={count}", *_batching(cfg), *settings]
    cfg = keeping_rows(compose("validate", [*overrides, *added]), keep=True)
    replay, training, provenance = read_trace(cfg.trace, seed)
    cfg, predictor, _ = calibrated(cfg, Cluster((device,)), training)
    requests = tuple(to_requests(replay))
    if any(request.truth.pauses for request in requests):
        raise ValueError(f"real engines are given plain requests here, and those of {provenance} call out")
    known = Known({request.id: predictor.predict(request)._replace(seconds=0.0) for request in requests})
    plain: Any = OmegaConf.to_container(cfg, resolve=True)
    parts = replace(instantiate(cfg.policy, _convert_="all"), overhead=Overhead())
    names = ["engine", "model", "threads", "cores", "max_num_seqs", "max_num_batched_tokens", "max_model_len"]
    names += ["async_scheduling", "warmup_requests"]
    made_of = {
        "tokenyard": version("tokenyard"),
        "config": {
            **{key: plain[key] for key in names},
            **told(cfg.engine, plain["policy"], parts.order, known, requests),
        },
        "seed": seed,
    }
    return Case(rate, seed, policy, requests, parts, known, made_of, provenance)


def told(
    engine: str, policy: Mapping[str, Any], order: Order, known: Known, requests: Sequence[Request]
) -> dict[str, Any]:
    """All that a real run under `policy` depends on beyond its engine's settings.

    vLLM batches by itself, and is told no more of a policy than each request's place: how the simulator batches, and
    the profile that an order is calibrated by, are no part of it, so that runs are kept when those change.
    """
    if engine == "hf":
        return {"policy": policy, "requests": digest({"rows": repr([(one, known.predict(one)) for one in requests])})}
    places = priorities([Job(one, known.predict(one)) for one in requests], order)
    rows = digest({"rows": repr(list(zip(requests, places, strict=True)))})
    return {"order": policy["order"]["_target_"], "requests": rows}


def _batching(cfg: DictConfig) -> list[str]:
    """The overrides that give a policy as many places as the engine has; vLLM batches continuously."""
    if cfg.engine == "hf":
        return [f"policy.batching.batch_size={cfg.max_num_seqs}"]
    limits = (f"policy.batching.{name}={cfg[name]}" for name in ("max_num_seqs", "max_num_batched_tokens"))
    ahead = f"policy.batching.plans_ahead={int(asynchronous(cfg))}"
    return ["policy/batching=continuous", *limits, ahead]


def asynchronous(cfg: DictConfig) -> bool:
    """Whether the engine of `cfg` plans a step ahead: vLLM's server on a CPU does not, whatever is asked."""
    return cfg.engine == "vllm" and bool(cfg.async_scheduling)


def run_real(
    case: Case, repeat: int, root: Path, engine: Engine, device: Device, anchor: tuple[int, int] | None
) -> Folder:
    """The folder of the real run of `case` whose number is `repeat`, which `engine` makes now.

    The profile's `anchor` (batch, context; None: it has none) is read before, after, and in between where nobody comes.
    """
    folder = real_folder(case, repeat, root)
    folder.begin({**case.made_of, "repeat": repeat})
    before = os.getloadavg()
    warm = [replace(request, arrival=0.0) for request in case.requests[: case.made_of["config"]["warmup_requests"]]]
    if warm:
        jobs = [Job(request, case.known.predict(request)) for request in warm]
        engine.serve(jobs, case.parts, device, lambda: None, lambda seconds: None)
    watch = Watch(engine, anchor)
    watch.read(READINGS)
    label = f"{case.policy.split()[0]} at {case.rate:g}/s, repeat {repeat + 1}"
    with tqdm(total=len(case.requests), unit="request", desc=label, dynamic_ncols=True, leave=False) as bar:
        began, start, used = time.time(), time.perf_counter(), time.process_time()
        table = engine.serve(case.jobs(), case.parts, device, bar.update, watch.idle)
        seconds, used = time.perf_counter() - start, time.process_time() - used
    watch.read(READINGS)
    facts = {
        "limits": engine.limits,
        "engine": engine.facts,
        "began": began,
        "anchors": rounded(watch.readings, start),
        "cpus_used": round(used / seconds, 3),
        "load_average_before": before[0],
        "load_average_after": os.getloadavg()[0],
    }
    folder.complete(table, {}, facts, [])
    return folder


class Watch:
    """Reads the profile's `anchor` on a serving `engine`; instants by time.perf_counter."""

    def __init__(self, engine: Engine, anchor: tuple[int, int] | None) -> None:
        self.engine = engine
        self.anchor = anchor
        self.readings: list[Reading] = []
        self.longest = 0.0  # s that a reading took

    def read(self, times: int = 1) -> None:
        """Read it so many times, if there is one and the engine's steps can be seen."""
        for _ in range(times):
            begin = time.perf_counter()
            seconds = self.engine.anchor(*self.anchor) if self.anchor else None
            now = time.perf_counter()
            if seconds is not None:
                self.readings.append(Reading((begin + now) / 2, *seconds))
                self.longest = max(self.longest, now - begin)

    def idle(self, seconds: float) -> None:
        """Read it if the next request is further away than any reading took, and a quarter, and the last one is old."""
        if self.readings and seconds > 1.25 * self.longest and time.perf_counter() - self.readings[-1].at > APART:
            self.read()


def real_folder(case: Case, repeat: int, root: Path) -> Folder:
    """Where the real run of `case` whose number is `repeat` is kept."""
    return Folder(root / digest({**case.made_of, "repeat": repeat}))


def run_simulated(case: Case, device: Device) -> pd.DataFrame:
    """What the simulator says of `case`, with the columns of a real run."""
    tables = simulate(
        case.requests,
        case.parts,
        Cluster((device,)),
        case.known,
        record=Record.DECISIONS,
        leap=False,
        unservable="fail",
    )
    table = pd.DataFrame(tables.requests)
    table["last_token"] = table["finished"]
    if isinstance(case.parts.batching.execution, RequestLevel):
        instants = token_instants(tables)
        ids = table["id"].tolist()
        table["first_token"] = [instants[number][0] for number in ids]
        outputs = table["output_tokens"].tolist()
        table["last_token"] = [instants[number][output - 1] for number, output in zip(ids, outputs, strict=True)]
    return table[list(COLUMNS)]


def token_instants(tables: Tables) -> dict[int, list[float]]:
    """When each row of the static batches got each of its tokens (s), by request id, padding after the last included.

    A static batch answers at its end, and so the simulator says no earlier instant of its jobs.
    """
    found: dict[int, list[float]] = {}
    for decision, end in zip(tables.decisions, tables.steps["end"].tolist(), strict=True):
        for number, _ in decision.granted:
            found.setdefault(number, []).append(end)
    return found


def capacity(case: Case, device: Device) -> float:
    """Requests/s that the simulator serves when all of `case` are there at the start."""
    together = replace(case, requests=tuple(replace(request, arrival=0.0) for request in case.requests))
    return len(case.requests) / float(np.max(run_simulated(together, device)["finished"]))
