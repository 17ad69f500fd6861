"""What of a run is fitted to rows of its trace, and how many rows of a file are kept back for that."""

from __future__ import annotations

import os
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from experiments.conf.copies import copied
from experiments.run.references import behind, leaves

SHARE = 0.2  # of a file's rows, kept back where something is fitted and the trace's training_share is null
KEEP = "TOKENYARD_KEEP_ROWS"  # set while a sweep runs of which some run fits something: then all keep rows back


def wanted(cfg: DictConfig) -> list[str]:
    """The constants of the calibration that the policy of `cfg` names: found from training rows, unless given."""
    found = behind(leaves(cfg), "policy")
    return [name for name in _calibration(cfg, "found_by") if f"calibration.{name}" in found]


def told(cfg: DictConfig) -> dict[str, Any]:
    """By name, the parts that find what is told of a calibration and taken by nothing."""
    return _calibration(cfg, "told_by")


def _calibration(cfg: DictConfig, finders: str) -> dict[str, Any]:
    return dict(OmegaConf.select(cfg, f"calibration.{finders}") or {})


def fitted(cfg: DictConfig) -> list[str]:
    """What of the run `cfg` needs training rows: its predictor, and constants that its policy names."""
    predictor = ["predictor"] if cfg.predictor.get("_partial_") else []
    return predictor + [f"calibration.{name}" for name in sorted(wanted(cfg)) if cfg.calibration[name] is None]


def keeping_rows(cfg: DictConfig, keep: bool) -> DictConfig:
    """`cfg` with a number for each `training_share` of its trace that is null: `SHARE` to `keep` rows back, else 0."""
    if not any(key.split(".")[-1] == "training_share" and value is None for key, value in leaves(cfg.trace).items()):
        return cfg
    cfg = copied(cfg)
    _set_shares(cfg.trace, SHARE if keep or os.environ.get(KEEP) else 0.0)
    return cfg


def _set_shares(node: Any, share: float) -> None:
    if isinstance(node, ListConfig):
        for inner in node:
            _set_shares(inner, share)
    elif isinstance(node, DictConfig):
        for key in list(node):
            if key == "training_share" and node[key] is None:
                node[key] = share
            elif OmegaConf.is_config(node._get_node(key)):
                _set_shares(node._get_node(key), share)
