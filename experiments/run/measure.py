"""One simulation and its metrics: with `inputs`, `parts` and `sim`, the code that makes the numbers of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig
from tqdm import tqdm

from experiments.run.costs import costs
from experiments.run.inputs import Inputs, kv_room
from experiments.run.load import described
from experiments.run.parts import build
from experiments.run.rewarded import of_rewards, with_rewards
from experiments.run.training import fitted
from experiments.validation.measured import summarized, with_measured
from sim import Record, Tables, simulate
from sim.build import BUILD
from sim.metrics import summary
from traces.requests import one_by_one

LABELS = ("client", "task")  # of a trace's requests, kept where it has them


def measure(cfg: DictConfig, inputs: Inputs, progress: bool) -> tuple[dict[str, object], Tables]:
    """Simulate, and compute the metrics of the run."""
    try:
        record = Record[cfg.record.upper()]
    except KeyError:
        raise ValueError(f"record must be requests, steps or jobs, got {cfg.record!r}") from None
    parts = build(cfg, inputs.cluster, inputs.training)
    with tqdm(total=len(inputs.replay), unit="request", desc="simulate", disable=not progress) as bar:
        tables = simulate(
            one_by_one(inputs.replay),
            parts.policy,
            inputs.cluster,
            parts.predictor,
            horizon=cfg.horizon,
            record=record,
            leap=cfg.leap,
            unservable=cfg.unservable,
            audit=cfg.audit,
            progress=bar.update,
        )
    metrics = summary(tables.requests, cfg.warmup)
    labels = {name: inputs.replay[name].to_numpy()[tables.requests["id"]] for name in LABELS if name in inputs.replay}
    measured = with_measured({**tables.requests, **labels}, inputs.replay)
    if reward := instantiate(cfg.reward, _convert_="all"):
        measured = with_rewards(measured, reward)
        metrics |= of_rewards(measured, reward, cfg.warmup)
    more = {
        "calibration": parts.calibration,
        "provenance": inputs.provenance | {"build": BUILD},
        "kv": kv_room(inputs.cluster),
    }
    more |= summarized(measured) | costs(inputs.cluster, tables.requests)
    if cfg.load is not None:
        more["load"] = described(cfg)
    said = {"rejection": tables.rejection, "fitted": ", ".join(fitted(cfg)), "counts": counts(inputs, tables, metrics)}
    return {**metrics, **said, **more}, replace(tables, requests=measured)


def counts(inputs: Inputs, tables: Tables, metrics: Mapping[str, Any]) -> dict[str, int | None]:
    """What became of the rows: each that was replayed is warm-up, measured, rejected, censored or never came."""
    states, replay = tables.requests["status"], inputs.replay
    ended = {state: int((states == state).sum()) for state in ("finished", "rejected", "censored")}
    return {
        "read": replay.attrs.get("read", len(replay)),
        "training": replay.attrs.get("kept") or (0 if inputs.training is None else len(inputs.training.table)),
        "replayed": len(replay),
        "warmup": ended["finished"] - metrics["finished"],
        "measured": metrics["finished"],
        "rejected": ended["rejected"],
        "censored": ended["censored"],
        "never_came": len(replay) - len(states),
        "first": replay.attrs.get("start"),
    }
