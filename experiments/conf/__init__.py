"""The configuration; each policy in `policy/` is also a system of its name, unless `system/` says what goes with it."""

from __future__ import annotations

from pathlib import Path

from hydra.core.config_store import ConfigStore

from experiments.conf import loader

HERE = loader.OURS


def name_systems(*folders: Path) -> None:
    """Let `system=NAME` choose the policy NAME, ours or of one of `folders`, where no yaml in a `system/` says more.

    Hydra keeps such options for the process: what earlier folders had is forgotten.
    """
    places = (HERE, *folders)
    store = ConfigStore.instance()
    store.repo["system"] = {}
    said = {file.name for place in places for file in place.glob("system/*.yaml")}
    policies = {file for place in places for file in place.glob("policy/*.yaml") if file.name not in said}
    for name in sorted({file.stem for file in policies}):
        store.store(group="system", name=name, node={"defaults": [{"override /policy": name}]}, package="_global_")


name_systems()
loader.install()
