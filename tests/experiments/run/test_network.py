"""A run by a learned routing: its network is one of the run's inputs, by content."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hydra import compose, initialize_config_module

from experiments.identity.of_run import digest, identity
from experiments.run.inputs import read_inputs
from experiments.run.results import Folder
from experiments.tables.mixture import current
from policies.routing import network
from policies.routing.network import SHIPPED
from traces.fetch import sha256

SETTINGS = (
    "policy=best_effort", "cluster=opt_family", "trace=best_effort", "trace.requests=5", "predictor=constant_given",
)  # fmt: skip


def of_run(file: str) -> tuple[dict[str, str], str]:
    """The digests of a run's inputs, and what the run is called by all that it is made of."""
    with initialize_config_module("experiments.conf", version_base="1.3"):
        cfg = compose("config", [*SETTINGS, f"policy.routing.network={file}"])
    digests = read_inputs(cfg).digests()
    return digests, digest(identity(cfg, {}, digests))


def test_a_network_counts_by_its_content(tmp_path: Path):
    shipped = "best_effort_hard_0.npz"
    digests, name = of_run(shipped)
    assert digests["network"] == sha256(SHIPPED / shipped)
    assert of_run(shipped) == (digests, name)
    other = tmp_path / "other.npz"
    network.save(network.load(shipped), other)
    before, first = of_run(str(other))
    made = network.load(shipped)
    made.weights[0][0, 0] += 1
    network.save(made, other)
    after, second = of_run(str(other))
    assert before["network"] != after["network"]
    assert first != second


def test_networks_are_compared_and_two_versions_of_one_are_not_mixed(tmp_path: Path, capsys):
    folders = []
    for number, (file, content) in enumerate((("a.npz", "1"), ("b.npz", "2"), ("a.npz", "1"), ("b.npz", "3"))):
        config = {"seed": number, "policy": {"routing": {"network": file}}}
        made_of = {"choices": {}, "code": "x", "inputs": {"network": content}, "config": config}
        folders.append(Folder(tmp_path / digest(made_of), {"choices": {}, "overrides": [], "spoken": {}}))
        with folders[-1].held():
            folders[-1].begin(made_of)
            folders[-1].complete({"id": np.arange(2)}, {}, {}, [], {"sim": "y"})
    kept = [folders.index(folder) for folder, _ in current(folders)]
    assert kept == [0, 2, 3]
    assert f"left out, made of another input network: {folders[1].path.name}" in capsys.readouterr().err
