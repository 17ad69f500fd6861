"""The shoot-out's runs, a row each: what it was, its metrics, and what is computed of its requests.

`found.parquet` keeps them as they were when docs/shootout.md was written: what `tokenyard figures shootout runs` wrote.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import kendalltau

from experiments.figures.stored import Stored
from experiments.tables.reference import REPLAY
from profiles.profile import DeviceProfile, load
from sim.metrics import inside, longest_wait, measured_window, response_time, tpot, ttft
from sim.record import Table
from sim.step import Step, attended_tokens

KV = "cluster.devices.gpu.kv_tokens"
SETTINGS = ("load", KV)
FOUND = Path(__file__).with_name("found.parquet")
TRACES = ("azure", "vtc", "castillo")
SWEEPS = {
    f"shootout/{trace}{kind}": trace
    for kind in ("", "_oracle", "_others", "_evictions", "_predictors")
    for trace in TRACES
}
PREDICTORS = {  # those of the main sweeps, by what they are: drawn from SSJF's mistakes, or fitted to text
    "constant_given": "none",
    "ssjf_confusion": "told",
    "log_t": "told",
}
KEYS = ("trace", "kv", "load", "contender", "predictor", "eviction", "seed")
SPREADS = ("mean", "p50", "p90", "p99", "max")
METRICS = (
    *(f"{name}_{part}" for name in ("response_time", "ttft", "tpot", "normalized_latency") for part in SPREADS),
    "longest_wait", "preemptions", "moved_tokens", "dropped_tokens", "throughput_requests", "scheduling_share",
    "requests", "rejected", "censored", "warmup_requests",
)  # fmt: skip
SLOS = {"goodput_strict": (1.0, 0.05), "goodput_loose": (10.0, 0.1)}  # time to first token and per token at most, s [A]
FIFTHS = tuple(f"slowdown_{part}" for part in range(1, 6))
LONGEST = "slowdown_longest"  # of the longest 1 %
FEW = 10  # measured requests of a client, at least
WARMUP = 0.1  # as config.yaml has it
COLUMNS = (
    "arrival", "status", "prompt_tokens", "output_tokens", "queued", "first_scheduled", "first_token", "finished",
    "longest_stop", "predicted_tokens",
)  # fmt: skip


def found(stored: Stored) -> pd.DataFrame:
    """A row for each complete run of the sweeps; FileNotFoundError if there is none.

    ValueError where two runs of one seed, that differ in the order alone, replayed different requests.
    """
    return _found(stored.root)


def kept() -> pd.DataFrame:
    """The rows that docs/shootout.md was written from."""
    return pd.read_parquet(FOUND)


@lru_cache(maxsize=4)
def _found(root: Path) -> pd.DataFrame:
    stored = Stored(root, SETTINGS)
    parts = [_rows(stored, sweep, table) for sweep, table in stored.tables(SWEEPS).items()]
    rows = pd.concat(parts, ignore_index=True).sort_values([*KEYS], kind="stable", ignore_index=True)
    if (rows.groupby(["trace", "kv", "load", "seed"])[REPLAY].nunique() > 1).any():
        raise ValueError("not paired: runs of one seed replayed different requests")
    return rows.drop(columns=REPLAY)


def _rows(stored: Stored, sweep: str, table: pd.DataFrame) -> pd.DataFrame:
    eviction = table["policy/eviction"].where(table["policy/eviction"] != "keep_then_swap", "kept")
    rows = pd.DataFrame(
        {
            "trace": SWEEPS[sweep],
            "kv": np.where(table[KV].isna(), "ample", "short"),
            "load": table["load"].astype(float),
            "contender": table["system"].str.removeprefix("shootout/"),
            "predictor": table["predictor"].map(lambda name: PREDICTORS.get(name, name)),
            "eviction": eviction,
            "seed": table["seed"],
            "rate": table["load.rate"],
            **{name: table[name] for name in METRICS},
            REPLAY: table[REPLAY],
        }
    )
    columns = [*COLUMNS, "client"] if SWEEPS[sweep] == "vtc" else COLUMNS
    more = [
        of_requests(stored.requests(sweep, run, columns).to_dict("series"), rate)
        for run, rate in zip(table["run"], table["load.rate"], strict=True)
    ]
    return rows.assign(**pd.DataFrame(more, index=table.index))


def of_requests(requests: Mapping[str, pd.Series], rate: float) -> dict[str, float]:
    """What is computed of the requests of a run, to which `rate` requests/s came: those of the measured window."""
    table: Table = {name: column.to_numpy() for name, column in requests.items()}
    chosen = inside(table, measured_window(table, WARMUP))
    done = {name: column[chosen["status"] == "finished"] for name, column in chosen.items()}
    alone = alone_seconds(done["prompt_tokens"], done["output_tokens"])
    slowdown = response_time(done) / alone
    place = alone.argsort(kind="stable").argsort(kind="stable") / len(alone)
    parts = {name: slowdown[(place * 5).astype(int) == at] for at, name in enumerate(FIFTHS)}
    parts[LONGEST] = slowdown[place >= 0.99]
    return {
        "wait_p99": float(np.quantile(longest_wait(done), 0.99)) if len(alone) else float("nan"),
        "slowdown_mean": float(slowdown.mean()) if len(alone) else float("nan"),
        "tau": _tau(done),
        **{name: float(part.mean()) if len(part) else float("nan") for name, part in parts.items()},
        **{name: rate * _within(done, *limits) / len(chosen["status"]) for name, limits in SLOS.items()},
        **(of_clients(done["client"], slowdown) if "client" in done else {}),
    }


def _tau(done: Table) -> float:
    """Kendall's tau of predicted and true lengths; NaN where all are predicted alike."""
    predicted = done["predicted_tokens"]
    return float(kendalltau(predicted, done["output_tokens"]).statistic) if np.ptp(predicted) else float("nan")


def _within(done: Table, first: float, each: float) -> int:
    """How many saw their first token within `first` s and the others `each` s apart, in the mean."""
    return int(((ttft(done) <= first) & (np.nan_to_num(tpot(done)) <= each)).sum())


def of_clients(clients: NDArray[np.object_], slowdown: NDArray[np.float64]) -> dict[str, float]:
    """Jain's index (1: all alike) of the clients' mean slowdowns, and the largest less the least of them.

    Of those with FEW requests or more.
    """
    by_client = pd.Series(slowdown).groupby(clients)
    means = by_client.mean()[by_client.size() >= FEW].to_numpy()
    if not len(means):
        return dict.fromkeys(("clients_jain", "clients_spread"), float("nan"))
    jain = means.sum() ** 2 / (len(means) * (means**2).sum())
    return {"clients_jain": float(jain), "clients_spread": float(np.ptp(means))}


def alone_seconds(prompts: NDArray[np.int64], outputs: NDArray[np.int64]) -> NDArray[np.float64]:
    """How long each request would take with nobody else there: a whole prefill, and steps of one job."""
    profile = load("llama-3.1-8b", "a100_sxm")
    return np.array([_alone(profile, *lengths) for lengths in zip(prompts.tolist(), outputs.tolist(), strict=True)])


@lru_cache(maxsize=1 << 16)
def _alone(profile: DeviceProfile, prompt: int, output: int) -> float:
    step = Step(prefill_tokens=prompt, prefill_attended=attended_tokens(prompt, 0), prefill_jobs=1)
    amid = prompt + output // 2
    return profile.step_time(step) + (output - 1) * profile.step_time(Step(decode_jobs=1, decode_context=amid))
