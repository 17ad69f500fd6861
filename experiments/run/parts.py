"""The parts of a simulation that decide: predictor and policy, with the constants that are found for them before it."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import pandas as pd
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from experiments.conf.copies import copied
from experiments.run.inputs import Training
from experiments.run.node import Node
from experiments.run.training import told, wanted
from sim import Cluster, Policy
from sim.policy import Predictor
from traces.requests import to_requests


@dataclass(frozen=True, slots=True)
class Parts:
    """What decides in a simulation, and the constants of its calibration."""

    policy: Policy
    predictor: Predictor
    calibration: dict[str, float]


@dataclass(frozen=True, eq=False)
class Fitted:
    """A predictor with the rows that it was fitted to; a process has one for equal settings of both."""

    predictor: Predictor
    training: Training


def build(cfg: DictConfig, cluster: Cluster, training: Training | None) -> Parts:
    """The policy and the predictor that `cfg` describes, what they name of the calibration found."""
    cfg, predictor, calibration = calibrated(cfg, cluster, training)
    return Parts(instantiate(cfg.policy, _convert_="all"), predictor, calibration)


def calibrated(
    cfg: DictConfig, cluster: Cluster, training: Training | None
) -> tuple[DictConfig, Predictor, dict[str, float]]:
    """`cfg` with the constants that its policy names and that it leaves null, its predictor, and those constants.

    A constant is found by the part `calibration.found_by.<name>`, called with the cluster and the fitted predictor.
    """
    named = {name: cfg.calibration[name] for name in wanted(cfg)}
    if training is None:
        return cfg, build_predictor(cfg.predictor, None), named
    known = _fitted(Node.of(cfg.predictor), training)
    found = {
        name: instantiate(cfg.calibration.found_by[name])(cluster, known)
        for name, value in named.items()
        if value is None
    }
    cfg = copied(cfg) if found else cfg
    for name, value in found.items():
        OmegaConf.update(cfg, f"calibration.{name}", value)
    more = {name: instantiate(part)(cluster, known) for name, part in told(cfg).items()}
    return cfg, known.predictor, named | found | {name: value for name, value in more.items() if value is not None}


@functools.lru_cache(maxsize=32)
def _fitted(predictor: Node, training: Training) -> Fitted:
    """Kept, for in a sweep each process meets the same predictor under many policies and seeds."""
    return Fitted(build_predictor(predictor.cfg, training.table), training)


def build_predictor(cfg: DictConfig, training: pd.DataFrame | None) -> Predictor:
    """The predictor of `cfg`; one given as a partial is fitted to the training rows first, to all answers of each."""
    part = instantiate(cfg, _convert_="all")
    if isinstance(part, functools.partial):
        if training is None:
            raise ValueError(f"{cfg._target_} is fitted to training rows, and there are none")
        others = training["samples"] if "samples" in training else [[]] * len(training)
        answers = zip(training["output_tokens"].tolist(), others, strict=True)
        part = part(to_requests(training), [[tokens, *samples] for tokens, samples in answers])
    return part
