"""RT-LM's offline profiling: what is known of a model, its devices and its prompts before the first request comes.

Each function finds one constant from the cluster, and from the training rows with the predictor fitted to them. phi,
eta and C_f are the first GPU's.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pandas as pd

from experiments.run.parts import Fitted
from policies.batching.static import Static
from policies.eviction.recompute import Recompute
from policies.order.fifo import FIFO
from policies.predictor.constant import constant
from policies.routing.least_loaded import LeastLoaded
from sim import Cluster, Device, Policy, Record, Request, Truth, simulate
from sim.metrics import throughput_overall
from sim.step import Step, attended_tokens

BATCH_SIZES = (1, 2, 4, 8, 16, 32)  # that C_f is looked for among; [A]
Row = tuple[int, int, int | None]  # prompt, output and most output tokens of a request


def phi(cluster: Cluster, known: Fitted) -> float:
    """Seconds per prompt token, from the prefill of half and of all of the training prompts' median length."""
    prompt, _ = _medians(known.training.table)
    half, gpu = prompt // 2, first(cluster, "gpu")
    return (_prefill_seconds(gpu, prompt) - _prefill_seconds(gpu, half)) / (prompt - half)


def eta(cluster: Cluster, known: Fitted) -> float:
    """Seconds per output token: a decode step of one request, at the median prompt plus half the median output."""
    prompt, output = _medians(known.training.table)
    return _decode_seconds(first(cluster, "gpu"), prompt + output // 2)


def tau(cluster: Cluster, known: Fitted, quantile: float) -> float:
    """The uncertainty (tokens) that a share `quantile` of the training prompts does not exceed."""
    return float(np.quantile(_scores(known), quantile))


def kappa(cluster: Cluster, known: Fitted) -> float | None:
    """How many times as long as the GPU a CPU takes for a request of median lengths; None without a CPU."""
    if all(device.kind != "cpu" for device in cluster.devices):
        return None
    prompt, output = _medians(known.training.table)
    cpu_seconds, gpu_seconds = (
        _prefill_seconds(device, prompt) + output * _decode_seconds(device, prompt + output // 2)
        for device in (first(cluster, "cpu"), first(cluster, "gpu"))
    )
    return cpu_seconds / gpu_seconds


def batch_size(cluster: Cluster, known: Fitted) -> int:
    """C_f: that of `BATCH_SIZES` which serves most requests/s of the training rows; of equals the smallest."""
    gpu, rows = first(cluster, "gpu"), _rows(known.training.table)
    return max(BATCH_SIZES, key=lambda size: saturated(gpu, rows, size))


def first(cluster: Cluster, kind: str) -> Device:
    """The cluster's first device of this kind, or its first device if there is none."""
    return next((device for device in cluster.devices if device.kind == kind), cluster.devices[0])


@lru_cache(maxsize=32)
def _scores(known: Fitted) -> list[float]:
    return [known.predictor.predict(request).uncertainty for request in known.training.requests]


@lru_cache(maxsize=256)
def saturated(device: Device, rows: tuple[Row, ...], batch_size: int) -> float:
    """Requests/s of static batches, when the requests of `rows` are all there at the start."""
    requests = [
        Request(number, 0.0, prompt, Truth(output), max_tokens=most)
        for number, (prompt, output, most) in enumerate(rows)
    ]
    policy = Policy(FIFO(), Static(batch_size), LeastLoaded(device.kind), Recompute())
    tables = simulate(requests, policy, Cluster((device,)), constant(1.0), record=Record.REQUESTS)
    return throughput_overall(tables.requests)[0]


def _medians(training: pd.DataFrame) -> tuple[int, int]:
    """Median prompt (2 tokens at least) and output length of the training rows."""
    prompt, output = (int(training[name].median()) for name in ("prompt_tokens", "output_tokens"))
    return max(2, prompt), output


def _rows(training: pd.DataFrame) -> tuple[Row, ...]:
    most = training["max_tokens"].tolist() if "max_tokens" in training else [None] * len(training)
    return tuple(zip(training["prompt_tokens"].tolist(), training["output_tokens"].tolist(), most, strict=True))


def _prefill_seconds(device: Device, tokens: int) -> float:
    return device.profile.step_time(Step(prefill_tokens=tokens, prefill_attended=attended_tokens(tokens, 0)))


def _decode_seconds(device: Device, context: int) -> float:
    return device.profile.step_time(Step(decode_jobs=1, decode_context=context))
