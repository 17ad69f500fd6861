"""One simulation and its metrics: with `experiments.build` and `sim`, the code that makes the numbers of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from omegaconf import DictConfig
from tqdm import tqdm

from experiments.build import Inputs, build, to_requests
from experiments.load import described
from experiments.validation.measured import summarized, with_measured
from sim import Record, Tables, simulate
from sim.metrics import summary

LABELS = ("client", "task")  # of a trace's requests, kept where it has them


def measure(cfg: DictConfig, inputs: Inputs, progress: bool) -> tuple[dict[str, object], Tables]:
    """Simulate, and compute the metrics of the run."""
    try:
        record = Record[cfg.record.upper()]
    except KeyError:
        raise ValueError(f"record must be requests or steps, got {cfg.record!r}") from None
    parts = build(cfg, inputs.cluster, inputs.training)
    requests = to_requests(inputs.replay)
    with tqdm(total=len(requests), unit="request", desc="simulate", disable=not progress) as bar:
        tables = simulate(
            requests,
            parts.policy,
            inputs.cluster,
            parts.predictor,
            horizon=cfg.horizon,
            record=record,
            leap=cfg.leap,
            unservable=cfg.unservable,
            progress=bar.update,
        )
    metrics = summary(tables.requests, cfg.warmup)
    labels = {name: inputs.replay[name].to_numpy()[tables.requests["id"]] for name in LABELS if name in inputs.replay}
    measured = with_measured({**tables.requests, **labels}, inputs.replay)
    more = {"calibration": parts.calibration, "provenance": inputs.provenance, **summarized(measured)}
    if cfg.load is not None:
        more["load"] = described(cfg)
    return {**metrics, "counts": counts(inputs, tables, metrics), **more}, replace(tables, requests=measured)


def counts(inputs: Inputs, tables: Tables, metrics: Mapping[str, Any]) -> dict[str, int]:
    """What became of the rows: how many were read, fitted to, replayed, cut as warm-up, measured, and not served."""
    states = tables.requests["status"]
    return {
        "read": inputs.replay.attrs.get("read", len(inputs.replay)),
        "training": 0 if inputs.training is None else len(inputs.training),
        "replayed": len(states),
        "warmup": metrics["warmup_requests"],
        "measured": metrics["finished"],
        "rejected": int((states == "rejected").sum()),
        "censored": int((states == "censored").sum()),
    }
