"""Our values for SSJF's claims, from stored results: what experiments/papers/ssjf/claims.yaml names."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from experiments.claims import Found
from experiments.figures.stored import Stored, against, of, over_seeds
from experiments.papers.size_based.times import as_times
from experiments.tables.stats import Interval, interval, quantile

SETTINGS = ("load", "trace.rate")
SIMULATOR, SIMULATED_FCFS = "size_based/ssjf_simulator", "size_based/ssjf_simulator_fcfs"
ENGINE, BURST = "size_based/ssjf_engine", "size_based/ssjf_burst"
JCT, THROUGHPUT = "response_time_mean", "throughput at a quarter"
QUARTER = 0.25
FCFS, SSJF, SIMULATED = "ssjf_fcfs", "ssjf", "ssjf_simulator"
BATCHINGS = {
    "guarded_single": "no batching",
    "guarded_static": "static",
    "guarded_until_shortest": "until the shortest",
    "guarded_continuous": "continuous",
}
PUBLISHED = yaml.safe_load((Path(__file__).parent / "published.yaml").read_text(encoding="utf-8"))
THEIR_RUNS = 20


def early_throughput(finished: np.ndarray, share: float = QUARTER) -> float:
    """Requests that are complete before the one at `share` of the completions, per second from 0 until then (s).

    So SSJF's simulator counts: of 50 requests 12, by the end of the 13th.
    """
    ends = np.sort(finished[~np.isnan(finished)])
    position = int(share * (len(ends) - 1))
    return float(position / ends[position])


def simulated(stored: Stored) -> pd.DataFrame:
    """The runs of its simulator, those of FCFS too."""
    return pd.concat([_with_throughput(stored, sweep) for sweep in (SIMULATOR, SIMULATED_FCFS)], ignore_index=True)


def engine(stored: Stored, sweep: str) -> pd.DataFrame:
    """The runs of a `sweep` on a real profile."""
    return _with_throughput(stored, sweep)


def _with_throughput(stored: Stored, sweep: str) -> pd.DataFrame:
    """The runs of `sweep`, with the throughput of each at a quarter of its completions."""
    table = stored.table(sweep)
    ends = (stored.requests(sweep, run, ["finished"])["finished"].to_numpy(dtype=float) for run in table["run"])
    return table.assign(**{THROUGHPUT: [early_throughput(one) for one in ends]})


def changes(table: pd.DataFrame, at: str, systems: tuple[str, ...]) -> pd.DataFrame:
    """By batching, `at` and system, the changes of JCT and of throughput against FCFS, in % over paired seeds."""
    fcfs = of(table, system=FCFS)
    metrics = (JCT, THROUGHPUT)
    paired = against(of(table, system=systems), fcfs, ["policy/batching", at], metrics)
    return over_seeds(paired, ["policy/batching", at, "system"], metrics)


def simulated_jct(stored: Stored, batching: str) -> list[Found]:
    """The change of the mean JCT (%) by rate."""
    found = of(changes(simulated(stored), "trace.rate", (SIMULATED,)), **{"policy/batching": batching})
    return [Found(f"{rate:g}/s", one) for rate, one in zip(found["trace.rate"], found[JCT], strict=True)]


def simulated_throughput(stored: Stored) -> list[Found]:
    """How many times that of FCFS, by batching and rate."""
    return _times(changes(simulated(stored), "trace.rate", (SIMULATED,)), "trace.rate", "/s")


def engine_jct(stored: Stored, sweep: str) -> list[Found]:
    """The change of the mean JCT (%) by batching and load."""
    found = changes(engine(stored, sweep), "load", (SSJF,))
    return [Found(where, one) for where, one in zip(_places(found, "load", ""), found[JCT], strict=True)]


def engine_throughput(stored: Stored, sweep: str) -> list[Found]:
    """How many times that of FCFS, by batching and load."""
    return _times(changes(engine(stored, sweep), "load", (SSJF,)), "load", "")


def _times(found: pd.DataFrame, at: str, unit: str) -> list[Found]:
    factors = [as_times(one) for one in found[THROUGHPUT]]
    return [Found(where, one) for where, one in zip(_places(found, at, unit), factors, strict=True)]


def _places(found: pd.DataFrame, at: str, unit: str) -> list[str]:
    name = at.rpartition(".")[2]
    return [
        f"{BATCHINGS[batching]}, {name} {value:g}{unit}"
        for batching, value in found[["policy/batching", at]].to_numpy()
    ]


def means(stored: Stored) -> pd.DataFrame:
    """Each mean JCT (s) beside theirs, with its interval; `half_width` is of a mean over as many runs as theirs."""
    table = simulated(stored)
    rows = []
    for batching, rates in PUBLISHED["means"].items():
        for rate, theirs in rates.items():
            for system, mean in theirs.items():
                runs = of(table, trace__rate=rate, system=system, **{"policy/batching": batching})
                values = runs[JCT].to_numpy(dtype=float)
                half = quantile(THEIR_RUNS) * values.std(ddof=1) / math.sqrt(THEIR_RUNS)
                rows.append((batching, rate, system, interval(values), mean, half))
    return pd.DataFrame(rows, columns=["policy/batching", "trace.rate", "system", "ours", "theirs", "half_width"])


def distances(stored: Stored) -> list[Found]:
    """By how much each mean is above theirs, over the half width of the 95 % interval of that difference."""
    found = []
    for batching, rate, system, ours, theirs, half in means(stored).to_numpy():
        noise = math.hypot(ours.half_width, half)
        where = f"{BATCHINGS[batching]}, {rate:g}/s, {system.removeprefix('ssjf_')}"
        found.append(Found(where, Interval((ours.mean - theirs) / noise, 0.0)))  # its noise is the unit
    return found


def accuracy(stored: Stored) -> list[Found]:
    """The share of answers whose class the configured mistakes tell, in percent."""
    conf = Path(__file__).parents[2] / "conf" / "predictor" / "ssjf_confusion.yaml"
    counts = np.array(yaml.safe_load(conf.read_text(encoding="utf-8"))["counts"])
    return [Found("", Interval(100 * float(np.trace(counts) / counts.sum()), math.nan))]
