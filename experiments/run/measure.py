"""One simulation and its metrics: with `inputs`, `parts` and `sim`, the code that makes the numbers of a run."""

from __future__ import annotations

import math
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
from experiments.validation.measured import summarized, with_measured
from sim import Record, Tables, simulate
from sim.build import BUILD
from sim.gaps import Gaps, gaps
from sim.metrics import measured_window, summary
from sim.record import Table
from sim.slo import Slo
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
    metrics: dict[str, Any] = summary(tables.requests, cfg.warmup)
    labels = {name: inputs.replay[name].to_numpy()[tables.requests["id"]] for name in LABELS if name in inputs.replay}
    measured = with_measured({**tables.requests, **labels}, inputs.replay)
    if reward := instantiate(cfg.reward, _convert_="all"):
        measured = with_rewards(measured, reward)
        metrics |= of_rewards(measured, reward, cfg.warmup)
    between = gaps(tables.requests, tables.steps, tables.spans) if record >= Record.STEPS else None
    if between is not None:
        metrics |= of_gaps(tables.requests, between, cfg.warmup)
    if cfg.slo is not None:
        metrics |= of_slo(Slo.of(cfg.slo), measured, between, cfg.warmup)
    more = {
        "rejection": tables.rejection,
        "fitted": ", ".join(inputs.fitted),
        "counts": counts(inputs, tables, metrics),
        "calibration": parts.calibration,
        "provenance": inputs.provenance | {"build": BUILD},
        "kv": kv_room(inputs.cluster),
    }
    more |= summarized(measured) | costs(inputs.cluster, tables.requests)
    if cfg.load is not None:
        more["load"] = described(cfg)
    return {**metrics, **more}, replace(tables, requests=measured)


def of_gaps(requests: Table, between: Gaps, warmup: float) -> dict[str, float]:
    """Inter-token latency over all tokens of the measured window; `itl_requests` counts the requests it is of."""
    window = measured_window(requests, warmup)
    came = (requests["arrival"] >= window[0]) & (requests["arrival"] <= window[1])
    return between.distribution(came) | {"itl_requests": int((came & between.seen).sum())}


def of_slo(slo: Slo, requests: Table, between: Gaps | None, warmup: float) -> dict[str, Any]:
    """Whether a run holds its objectives (0 or 1, if they say), and how many requests meet them."""
    met = slo.met(requests, warmup, between)
    told: dict[str, Any] = {
        "slo_attainment": met.attainment,
        "slo_goodput": met.goodput,
        "slo_goodput_overall": met.goodput_overall,
        "slo_holds": int(met.holds) if slo.decides else math.nan,
    }
    return told | ({"attainment": met.attainments, "goodput": met.goodputs} if slo.by else {})


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
