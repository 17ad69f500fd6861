"""Copies of a configuration."""

from __future__ import annotations

import pickle

from omegaconf import DictConfig


def copied(cfg: DictConfig) -> DictConfig:
    """What `cfg.copy()` gives, several times as fast: each run of a sweep takes a few."""
    copy: DictConfig = pickle.loads(pickle.dumps(cfg, pickle.HIGHEST_PROTOCOL))
    return copy
