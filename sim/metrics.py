"""Metrics: pure functions over a run's request table. Seconds and tokens; NaN where nothing was measured."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.record import Table

Floats = NDArray[np.float64]
OF_FINISHED = (  # the columns that `summary` reads of the requests that finished
    "arrival", "output_tokens", "replica_kind", "overhead_seconds", "queued", "first_scheduled", "first_token",
    "finished", "longest_stop", "calls", "call_seconds", "renewed_seconds", "routing_seconds", "passes",
    "proposed_tokens",
)  # fmt: skip
PERCENTILES = {"p50": 50, "p90": 90, "p95": 95, "p99": 99}


def measured_window(requests: Table, warmup: float) -> tuple[float, float]:
    """The window that is measured: from the share `warmup` of the arrivals' span to the last arrival, s."""
    if not 0 <= warmup < 1:
        raise ValueError(f"warmup must be a share in [0, 1), got {warmup}")
    last = float(requests["arrival"].max()) if len(requests["arrival"]) else 0.0
    return warmup * last, last


def inside(requests: Table, window: tuple[float, float]) -> Table:
    """The requests that arrived in `window`."""
    mask = (requests["arrival"] >= window[0]) & (requests["arrival"] <= window[1])
    return {name: column[mask] for name, column in requests.items()}


def response_time(requests: Table) -> Floats:
    """E2E, RT-LM's response time: finished - arrival."""
    return np.asarray(requests["finished"] - requests["arrival"], dtype=float)


def serving_time(requests: Table) -> Floats:
    """E2E without the time that calls took, as INFERCEPT counts it: finished - arrival - call_seconds."""
    return np.asarray(response_time(requests) - requests["call_seconds"], dtype=float)


def ttft(requests: Table) -> Floats:
    """Time to first token: first_token - arrival."""
    return np.asarray(requests["first_token"] - requests["arrival"], dtype=float)


def tpot(requests: Table) -> Floats:
    """Time per output token after the first, NaN for an output of one token."""
    gaps = requests["output_tokens"] - 1
    return np.where(gaps > 0, (requests["finished"] - requests["first_token"]) / np.maximum(gaps, 1), np.nan)


def normalized_latency(requests: Table) -> Floats:
    """E2E per output token."""
    return response_time(requests) / requests["output_tokens"]


def longest_wait(requests: Table) -> Floats:
    """The longest time that a request was there and got no token: before its first step, or amid its answer."""
    return np.fmax(requests["first_scheduled"] - requests["queued"], requests["longest_stop"])  # type: ignore[no-any-return]


def throughput(requests: Table, window: tuple[float, float]) -> tuple[float, float]:
    """Requests and output tokens that finish in `window`, per second of it.

    NaN where nobody can have come and gone in it: where no request finished, or where from the first arrival in the
    window to its end (s) is less than the shortest response time. So it is with a burst, whose arrivals end before it
    is served: see `throughput_overall`.
    """
    arrivals = inside({"arrival": requests["arrival"]}, window)["arrival"]
    shortest = np.min(response_time(requests), initial=np.inf, where=~np.isnan(requests["finished"]))
    if not shortest <= window[1] - (arrivals.min() if len(arrivals) else window[0]):
        return float("nan"), float("nan")
    mask = (requests["finished"] >= window[0]) & (requests["finished"] <= window[1])
    return _per_second(requests, mask, window[1] - window[0])


def throughput_overall(requests: Table) -> tuple[float, float]:
    """All requests that finished, and their output tokens, per second from the first arrival to the last end."""
    mask = ~np.isnan(requests["finished"])
    if not mask.any():
        return float("nan"), float("nan")
    return _per_second(requests, mask, requests["finished"][mask].max() - requests["arrival"].min())


def _per_second(requests: Table, mask: NDArray[np.bool_], seconds: float) -> tuple[float, float]:
    """The requests of `mask` and their output tokens, per second of so many; NaN if no time passes."""
    if not seconds > 0:
        return float("nan"), float("nan")
    return float(mask.sum() / seconds), float(requests["output_tokens"][mask].sum() / seconds)


def distribution(name: str, values: Floats) -> dict[str, float]:
    """Mean, P50, P90, P95, P99 and maximum of the values that are not NaN."""
    known = values[~np.isnan(values)]
    if not len(known):
        return dict.fromkeys((f"{name}_{part}" for part in ("mean", *PERCENTILES, "max")), float("nan"))
    percentiles = zip(PERCENTILES, np.percentile(known, [*PERCENTILES.values()]), strict=True)
    return {
        f"{name}_mean": float(known.mean()),
        **{f"{name}_{part}": float(value) for part, value in percentiles},
        f"{name}_max": float(known.max()),
    }


def summary(requests: Table, warmup: float) -> dict[str, Any]:
    """All metrics of one run. Times are of the requests that arrived in the measured window and finished.

    `ttft_requests` and `tpot_requests` count those of which a first token was seen, and then another: none of a static
    batch. `warmup_requests` arrived before the window; `throughput_requests` and `throughput_tokens` are those of the
    window, with `_overall` those of the whole run.
    `predicting_share`, `routing_share` and `scheduling_share` are the parts of the summed response time that the
    predictor (its queue, and what was said anew after calls), the router (its queue) and the scheduler took;
    `offloaded_share` counts requests that a CPU served. Where requests call out, what `of_calls` says is added: without
    calls it would repeat the response times. So is what `of_passes` says where passes emit several tokens.
    """
    window = measured_window(requests, warmup)
    came = (requests["arrival"] >= window[0]) & (requests["arrival"] <= window[1])
    states = {state: came & (requests["status"] == state) for state in ("finished", "rejected", "censored")}
    ended = states["finished"]
    finished = {name: column[ended] for name, column in requests.items() if name in OF_FINISHED}
    total = float(response_time(finished).sum())
    times = {"response_time": response_time(finished), "ttft": ttft(finished), "tpot": tpot(finished)}
    times["normalized_latency"] = normalized_latency(finished)
    renewed = finished.get("renewed_seconds", 0.0)  # older tables have none
    routing = finished.get("routing_seconds", 0.0)
    predicting = finished["queued"] - finished["arrival"] - routing + renewed
    requests_per_second, tokens_per_second = throughput(requests, window)
    requests_overall, tokens_overall = throughput_overall(requests)
    return {
        "requests": int(came.sum()),
        **{state: int(rows.sum()) for state, rows in states.items()},
        "warmup_requests": int((requests["arrival"] < window[0]).sum()),
        **{key: value for name, values in times.items() for key, value in distribution(name, values).items()},
        **{f"{name}_requests": int((~np.isnan(times[name])).sum()) for name in ("ttft", "tpot")},
        "longest_wait": float(longest_wait(finished).max()) if total else float("nan"),
        "throughput_requests": requests_per_second,
        "throughput_tokens": tokens_per_second,
        "throughput_requests_overall": requests_overall,
        "throughput_tokens_overall": tokens_overall,
        "window_seconds": window[1] - window[0],
        **{name: int(requests[name][came].sum()) for name in ("preemptions", "moved_tokens", "dropped_tokens")},
        "predicting_share": float(predicting.sum() / total) if total else float("nan"),
        "routing_share": float(np.sum(routing) / total) if total else float("nan"),
        "scheduling_share": float(finished["overhead_seconds"].sum() / total) if total else float("nan"),
        "offloaded_share": float((finished["replica_kind"] == "cpu").mean()) if total else float("nan"),
        **(of_calls(finished) if calls_out(requests) else {}),
        **(of_passes(finished) if "passes" in requests and requests["passes"].any() else {}),
    }


def calls_out(requests: Table) -> bool:
    """Whether any of them calls out; a table that was stored before requests could has no such column."""
    return "calls" in requests and bool(requests["calls"].any())


def of_calls(finished: Table) -> dict[str, float]:
    """What is told of finished requests that may call out: serving times, those per output token, calls per request."""
    times = serving_time(finished)
    means = {
        "normalized_serving_time_mean": times / finished["output_tokens"],
        "calls_mean": finished["calls"],
        "call_seconds_mean": finished["call_seconds"],
    }
    return {
        **distribution("serving_time", times),
        **{name: float(values.mean()) if len(times) else float("nan") for name, values in means.items()},
    }


def of_passes(finished: Table) -> dict[str, float]:
    """What passes made of finished requests where each may emit several tokens: emitted and proposed in the mean.

    The first token of an answer, which the prefill emits, is none of a pass.
    """
    passes, proposed = int(finished["passes"].sum()), int(finished["proposed_tokens"].sum())
    emitted = int((finished["output_tokens"] - 1)[finished["passes"] > 0].sum())
    return {
        "tokens_per_pass_mean": emitted / passes if passes else float("nan"),
        "proposed_per_pass_mean": proposed / passes if passes else float("nan"),
    }
