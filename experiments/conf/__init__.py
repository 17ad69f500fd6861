"""The configuration; each policy in `policy/` is also a system of its name, unless `system/` says what goes with it."""

from __future__ import annotations

from pathlib import Path

from hydra.core.config_store import ConfigStore

HERE = Path(__file__).parent


def name_systems(folder: Path) -> None:
    """Let `system=NAME` choose the policy NAME of `folder`, where no yaml in its `system/` or in ours says more."""
    store = ConfigStore.instance()
    systems = {file.name for place in (folder, HERE) for file in place.glob("system/*.yaml")}
    for file in folder.glob("policy/*.yaml"):
        if file.name not in systems:
            chosen = {"defaults": [{"override /policy": file.stem}]}
            store.store(group="system", name=file.stem, node=chosen, package="_global_")
    for name in systems & set(store.repo.get("system", ())):
        del store.repo["system"][name]


name_systems(HERE)
