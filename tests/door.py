"""The way that tests of whole runs go: a configuration by its names, as on the command line, and what it decides."""

from __future__ import annotations

from typing import Any

from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig

from experiments.run.inputs import read_inputs
from experiments.run.load import at_load
from experiments.run.measure import measure
from sim import Tables
from tests.conftest import ROOT

CONF = ROOT / "experiments" / "conf"


def options(group: str) -> list[str]:
    """Each choice of a group of the configuration: `group=NAME`."""
    with initialize_config_module("experiments.conf", version_base="1.3"):
        return [f"{group}={name}" for name in sorted(GlobalHydra.instance().config_loader().get_group_options(group))]


def composed(*overrides: str) -> DictConfig:
    """The configuration that these overrides name."""
    with initialize_config_module("experiments.conf", version_base="1.3"):
        return compose("config", [*overrides])


def decide(*overrides: str) -> tuple[dict[str, Any], Tables]:
    """The metrics and the tables of one run, with every decision."""
    cfg = at_load(composed(*overrides, "record=decisions"), overrides)
    return measure(cfg, read_inputs(cfg), progress=False)
