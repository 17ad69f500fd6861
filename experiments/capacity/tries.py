"""One try: a run of a system at a rate and a seed, made or found, and whether it holds its objectives."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf, open_dict

from experiments.capacity.binding import Evidence, evidence, limits
from experiments.run.inputs import build_cluster, read_trace
from experiments.run.made import run, working
from experiments.run.results import Folder
from experiments.run.training import fitted, keeping_rows
from sim.gaps import gaps
from sim.record import Table
from sim.slo import Slo
from traces.paced import own_rate

REJECTED = 0.001  # share of the requests that can never be served, from which on it is said
NEVER = "never served"
READ = [
    "id", "arrival", "output_tokens", "status", "replica", "queued", "first_scheduled", "first_token", "finished",
    "passes", "preemptions", "dropped_tokens", "prompt_tokens",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Pace:
    """How a rate is set: `by` time or thinning; None of the two where the trace is replayed as it is."""

    rate: float | None
    by: str = "time"


@dataclass(frozen=True, slots=True)
class Tried:
    """What a run made of its objectives: each bounded percentile by its name (s), and whether all hold."""

    pace: Pace
    seed: int
    folder: str
    made: bool
    holds: bool
    found: dict[str, float]
    bounds: dict[str, float]
    missed: tuple[str, ...]
    attainment: float
    goodput: float
    counts: dict[str, int]  # of the rows: see `counts.*` in docs/results.md
    replay: str  # the digest of the requests


class TryError(RuntimeError):
    """A run that was to be judged failed."""


def attempt(texts: list[str], pace: Pace, seed: int, slo: Slo) -> Tried:
    """Make the run, unless it is kept, and judge it; TryError for one that fails."""
    folder, state = _run(texts, pace, seed, "jobs" if slo.needs_gaps else "requests")
    made_of, summary = folder.made_of(), folder.summary()
    requests = read(folder, slo)
    between = None
    if slo.needs_gaps:
        steps = _table(folder.path / "steps.parquet", ["replica", "end"])
        between = gaps(requests, steps, _table(folder.path / "spans.parquet"))
    try:
        met = slo.met(requests, made_of["config"]["warmup"], between)
    except ValueError as error:
        raise TryError(str(error)) from error
    missed = [one.name for one in met.found if not one.holds]
    if slo.share is not None:
        shares = met.attainments or {"": met.attainment}
        missed += [f"{name}.attainment".lstrip(".") for name, value in shares.items() if not value >= slo.share]
    return Tried(
        pace, seed, str(folder.path), state == "complete", met.holds,
        {one.name: one.seconds for one in met.found}, {one.name: one.bound.seconds for one in met.found},
        tuple(missed), met.attainment, met.goodput, summary["counts"],
        made_of["inputs"]["replay"],
    )  # fmt: skip


def witness(texts: list[str], pace: Pace, seed: int, slo: Slo) -> Evidence:
    """What held requests up in the run, by its steps."""
    folder, _ = _run(texts, pace, seed, "jobs" if slo.needs_gaps else "steps")
    cfg = working().composed(texts)[0]
    steps = _table(folder.path / "steps.parquet")
    requests = _table(folder.path / "requests.parquet", READ)
    return evidence(build_cluster(cfg.cluster), instantiate(cfg.policy.batching), requests, steps)


def limited(cfg: DictConfig) -> list[tuple[str, str]]:
    """The engine's limits under which a system is searched, a line for each kind of device."""
    return limits(build_cluster(cfg.cluster), instantiate(cfg.policy.batching))


def engine(texts: list[str]) -> list[str]:
    """The same of settings as typed, without saying how many there are of each, and in which role."""
    return [line.partition(": ")[2] for _, line in limited(working().composed(texts)[0])]


def speed(cfg: DictConfig, seed: int) -> tuple[float, int]:
    """Requests/s of the trace of `cfg` as a seed draws it, and how many requests those are."""
    replay = read_trace(keeping_rows(cfg, bool(fitted(cfg))).trace, seed, False)[0]
    return own_rate(replay), len(replay)


def _run(texts: list[str], pace: Pace, seed: int, record: str) -> tuple[Folder, str]:
    cfg, choices, typed = working().composed([*texts, f"seed={seed}", f"record={record}"])
    typed = [text for text in typed if not text.lstrip("+").startswith("slo.")]
    cfg = paced(cfg, pace)
    with open_dict(cfg):
        cfg.slo = None  # judged here: a run serves for every objective
        cfg.name, cfg.results = str(cfg.name), str(cfg.results)
    if pace.rate is not None:
        typed.append(f"trace.rate={pace.rate:g}")
    outcome = run(cfg, choices, typed, progress=False)
    outcome.append()
    if outcome.state == "failed":
        raise TryError(f"{outcome.overrides}: {outcome.error}")
    return Folder(Path(outcome.folder), outcome.asked), outcome.state


def paced(cfg: DictConfig, pace: Pace) -> DictConfig:
    """`cfg` with its trace at a rate: by the trace's own setting where it has one that stretches time."""
    if pace.rate is None:
        return cfg
    cfg = keeping_rows(cfg, bool(fitted(cfg)))
    with open_dict(cfg):
        if pace.by == "time" and "rate" in cfg.trace:
            cfg.trace.rate = pace.rate
        else:
            cfg.trace = OmegaConf.create(
                {"_target_": "traces.paced.Paced", "of": cfg.trace, "rate": pace.rate, "by": pace.by}
            )
    return cfg


def read(folder: Folder, slo: Slo) -> Table:
    """The columns of the requests of a run that objectives are judged by."""
    return _table(folder.path / "requests.parquet", [*READ, *([slo.by] if slo.by else [])])


def _table(path: Path, columns: Iterable[str] | None = None) -> Table:
    table = pq.read_table(path, columns=None if columns is None else list(columns))
    return {name: table[name].to_numpy() for name in table.column_names}


def unmet(tried: Tried) -> str:
    """The bounds that a run missed, with what was found."""
    said = [f"{name} {tried.found[name]:.3g} s" if name in tried.found else name for name in tried.missed]
    return ", ".join(said).replace("inf s", "unfinished")


def unservable(trials: Iterable[Tried]) -> str:
    """How many requests no replica can ever serve, in the run with most of them; empty where they are next to none."""
    rejected, replayed = max((tried.counts["rejected"], tried.counts["replayed"]) for tried in trials)
    if not rejected > REJECTED * replayed:
        return ""
    return f"{rejected:,} of {replayed:,} requests can never be served (docs/results.md: rejected), and count as missed"


def never(tried: Tried, bound: str) -> bool:
    """Whether a run misses `bound` by requests that are rejected, however many replicas there are."""
    return tried.counts["rejected"] > 0 and tried.found.get(bound) == math.inf


def holding(tried: Tried, bound: str, evidence: Evidence) -> str:
    """What keeps what is bounded above its `bound` in a run: `NEVER` where that is so of requests that are rejected."""
    return NEVER if never(tried, bound) else evidence.binds(bound.rpartition(".")[2].partition("_")[0])


def worst(tried: Tried) -> str:
    """The bound that a run missed by the largest factor; empty where it missed none."""
    ratios = {name: tried.found[name] / tried.bounds[name] for name in tried.missed if name in tried.found}
    return max(ratios, key=lambda name: ratios[name]) if ratios else next(iter(tried.missed), "")
