"""RT-LM's offline profiling: what is known of a model, its devices and its prompts before the first request comes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import lru_cache

import numpy as np
import pandas as pd
from omegaconf import DictConfig

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


def calibrate(
    cfg: DictConfig, wanted: Collection[str], cluster: Cluster, training: pd.DataFrame, scores: Sequence[float]
) -> dict[str, float]:
    """RT-LM's constants: phi, eta and kappa, and those `wanted` of tau and C_f.

    phi, eta and C_f are the first GPU's, kappa a CPU's, tau comes from the training prompts' `scores`.

    phi is the slope of the prefill time between half and all of the training prompts' median length; eta one decode
    step at the median prompt plus half the median output; both for a batch of one. kappa is how many times as long as
    the GPU a CPU takes for a request of median lengths (without a CPU it is left out). C_f, `batch_size`, is that of
    the greatest `saturated` throughput. What `cfg` fixes is kept.
    """
    gpu = first(cluster, "gpu")
    prompt, output = (int(training[name].median()) for name in ("prompt_tokens", "output_tokens"))
    prompt = max(2, prompt)
    half = prompt // 2
    found = {
        "phi": (_prefill_seconds(gpu, prompt) - _prefill_seconds(gpu, half)) / (prompt - half),
        "eta": _decode_seconds(gpu, prompt + output // 2),
    }
    if "tau" in wanted:
        found["tau"] = float(np.quantile(scores, cfg.malicious_quantile))
    if any(device.kind == "cpu" for device in cluster.devices):
        cpu_seconds, gpu_seconds = (
            _prefill_seconds(device, prompt) + output * _decode_seconds(device, prompt + output // 2)
            for device in (first(cluster, "cpu"), gpu)
        )
        found["kappa"] = cpu_seconds / gpu_seconds
    fixed = {name: float(value) for name in found if (value := cfg.get(name)) is not None}
    found |= fixed
    return {**found, "batch_size": best_batch_size(cfg, gpu, training)} if "batch_size" in wanted else found


def first(cluster: Cluster, kind: str) -> Device:
    """The cluster's first device of this kind, or its first device if there is none."""
    return next((device for device in cluster.devices if device.kind == kind), cluster.devices[0])


def best_batch_size(cfg: DictConfig, gpu: Device, training: pd.DataFrame) -> int:
    """RT-LM's C_f: what `cfg` fixes, or that of `BATCH_SIZES` which serves most requests/s; of equals the smallest."""
    if cfg.batch_size is not None:
        return int(cfg.batch_size)
    rows = _rows(training)
    return max(BATCH_SIZES, key=lambda size: saturated(gpu, rows, size))


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


def _rows(training: pd.DataFrame) -> tuple[Row, ...]:
    most = training["max_tokens"].tolist() if "max_tokens" in training else [None] * len(training)
    return tuple(zip(training["prompt_tokens"].tolist(), training["output_tokens"].tolist(), most, strict=True))


def _prefill_seconds(device: Device, tokens: int) -> float:
    return device.profile.step_time(Step(prefill_tokens=tokens, prefill_attended=attended_tokens(tokens, 0)))


def _decode_seconds(device: Device, context: int) -> float:
    return device.profile.step_time(Step(decode_jobs=1, decode_context=context))
