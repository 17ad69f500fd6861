"""Every notebook runs from top to bottom on a tiny sweep, and is committed without outputs."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from conftest import ROOT
from nbclient import NotebookClient

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SWEEP = [
    "policy=fifo,sjf", "trace.rate=30,60", "seed=0,1", "trace=dialogue", "trace.requests=60",
    "trace.training_requests=200", "model=gpt2", "cluster.devices.cpu.profile.device=l40s", "hydra.launcher.n_jobs=1",
]  # fmt: skip
TOLD = {  # what a reader must find in the outputs
    "compare_policies": (
        "8 complete runs", "gpt2/l40s (imported)", "synthetic: ", "mean - fifo", "predicting %", "Kendall tau",
        "Spearman rho",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def sweep(tmp_path_factory) -> Path:
    """Results of two policies at two rates, two seeds each."""
    results = tmp_path_factory.mktemp("results")
    line = [sys.executable, "-m", "experiments.run", "-m", *SWEEP, f"results={results}", "name=tiny"]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return results / "tiny"


def test_there_is_a_notebook():
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_committed_clean(path: Path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_on_a_tiny_sweep(path: Path, sweep: Path, monkeypatch):
    monkeypatch.setenv("TOKENYARD_RESULTS", str(sweep))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))))
    notebook = nbformat.read(path, as_version=4)
    place = {"metadata": {"path": path.parent}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=place).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert [output for output in outputs if output.output_type == "error"] == []
    told = "\n".join(output.get("text") or output.get("data", {}).get("text/plain", "") for output in outputs)
    for part in TOLD.get(path.stem, ()):
        assert part in told
    assert "Warning" not in "".join(output.text for output in outputs if output.get("name") == "stderr")
    assert any("image/png" in output.get("data", {}) for output in outputs)
