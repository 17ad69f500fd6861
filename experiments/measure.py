"""One simulation and its metrics: with `experiments.build` and `sim`, the code that makes the numbers of a run."""

from __future__ import annotations

from dataclasses import replace

from omegaconf import DictConfig
from tqdm import tqdm

from experiments.build import Inputs, build
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
    parts = build(cfg, inputs)
    with tqdm(total=len(parts.requests), unit="request", desc="simulate", disable=not progress) as bar:
        tables = simulate(
            parts.requests,
            parts.policy,
            parts.cluster,
            parts.predictor,
            horizon=cfg.horizon,
            record=record,
            leap=cfg.leap,
            progress=bar.update,
        )
    metrics = summary(tables.requests, cfg.warmup)
    labels = {name: inputs.replay[name].to_numpy()[tables.requests["id"]] for name in LABELS if name in inputs.replay}
    requests = with_measured({**tables.requests, **labels}, inputs.replay, len(inputs.training))
    more = {"calibration": parts.calibration, "provenance": inputs.provenance, **summarized(requests)}
    return {**metrics, **more}, replace(tables, requests=requests)
