"""Every notebook runs from top to bottom on a tiny sweep, and is committed without outputs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
CALLING = ["trace.path={made}", "trace.rate=2", "trace.seconds=20", "seed=[0,1]"]
SWEEPS = {  # of each notebook: what is swept, and the folder that it reads below the results
    "best_effort": ([], ""),  # it trains, and reads none
    "capacity": ([], ""),  # it searches, and reads none
    "compare_policies": (
        [["policy=fifo,sjf", "trace.rate=30,60", "seed=0,1", "trace=dialogue", "trace.requests=60",
          "trace.training_requests=200", "model=gpt2", "cluster.devices.cpu.profile.device=l40s", "name=tiny"]],
        "tiny",
    ),
    "rt_lm": (
        [["experiment=rtlm/ablation", "model=bart-base", "cluster=rtlm_server", "trace.correlation=0.8", "seed=[0,1]",
          "trace.requests=60", "trace.training_requests=40"]],
        "",
    ),
    "augmented": (
        [["experiment=augmented/infercept_waste", "horizon=20", *CALLING],
         ["experiment=augmented/infercept_parts", *CALLING]],
        "",
    ),
    "shootout": ([], ""),  # it reads what ships
    "size_based": (
        [["experiment=size_based/trail_rates", "trace.rate=10,20", "seed=[0,1]", "trace.requests=60"]],
        "",
    ),
    "timeline": (
        [["policy=fifo", "policy/batching=continuous", "policy/eviction=swap", "cluster.devices.gpu.kv_tokens=800",
          "cluster.devices.gpu.host.tokens=160", "trace.rate=60", "trace.requests=60", "record=jobs", "name=tiny"]],
        "tiny",
    ),
    "why": (
        [["policy=fifo,rtlm", "trace.rate=60", "seed=0,1", "trace=dialogue", "trace.requests=60", "record=jobs",
          "trace.training_requests=200", "model=gpt2", "cluster.devices.cpu.profile.device=l40s", "name=tiny"]],
        "tiny",
    ),
}  # fmt: skip
LONG = (  # which make check runs
    "augmented", "best_effort", "capacity", "rt_lm", "shootout", "size_based", "timeline", "why",
)  # fmt: skip
MADE = {  # requests that call out, in the form of InferCept's file
    "cols": ["prompt_tokens_total_at_segment_start", "completion_tokens", "api_time_s", "api_return_tokens",
             "exact(1)/chars_div_4(0)"],
    "data": [
        {"key": str(one), "cls": "qa", "segs": [[90, 60, 0.7, 50, 1], [200, 60 + one, 0, 0, 1]]} for one in range(9)
    ],
}  # fmt: skip
TOLD = {  # what a reader must find in the outputs
    "best_effort": ("performance, reward over peak", "always opt-6.7b", "threshold", "learned"),
    "capacity": ("limits: 1 x gpu: llama-3.1-8b/a100_sxm", "% of fifo", "goodput", "just above it"),
    "compare_policies": (
        "8 complete runs", "gpt2/l40s (imported)", "synthetic: ", "mean - fifo", "predicting %", "Kendall tau",
        "Spearman rho",
    ),
    "rt_lm": ("effect of each mechanism", "tokenyard -m experiment=rtlm/main"),
    "augmented": ("Fig. 3", "tokenyard -m experiment=augmented/lamps_single", "LAMPS"),
    "shootout": ("gittins", "Mean response time against FIFO", "Jain's index"),
    "size_based": ("TRAIL's headline", "tokenyard -m experiment=size_based/ssjf_simulator", "in part"),
    "timeline": ("fifo, seed 0: 60 requests", "add up to its response time within", "steps together", "stops of"),
    "why": ("requests of 2 seeds", "the parts add up to the difference within", "queueing", "served sooner by rtlm"),
}  # fmt: skip


@pytest.fixture
def sweep(path: Path, tmp_path: Path) -> Path:
    """The results that the notebook `path` reads, of a tiny sweep."""
    commands, folder = SWEEPS[path.stem]
    made = tmp_path / "made.json"
    made.write_text(json.dumps(MADE))
    for settings in commands:
        line = [sys.executable, "-m", "experiments.cli", "-m", *(setting.format(made=made) for setting in settings)]
        line += [f"results={tmp_path}", "hydra.launcher.n_jobs=1"]
        done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    return tmp_path / folder


def test_every_notebook_has_a_sweep():
    assert {path.stem for path in NOTEBOOKS} == set(SWEEPS)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_committed_clean(path: Path):
    import nbformat  # here, for it takes seconds, of every process that collects the tests

    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=pytest.mark.long if path.stem in LONG else ()) for path in NOTEBOOKS],
    ids=lambda path: path.stem,
)
def test_it_runs_on_a_tiny_sweep(path: Path, sweep: Path, monkeypatch):
    if path.stem == "best_effort":
        pytest.importorskip("torch", reason="training needs the learn extra")
        pytest.importorskip("gymnasium", reason="training needs the learn extra")
    if path.stem != "shootout":
        monkeypatch.setenv("TOKENYARD_RESULTS", str(sweep))
    monkeypatch.setenv("TOKENYARD_DECISIONS", "2000")
    monkeypatch.setenv("TOKENYARD_REQUESTS", "200")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))))
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    place = {"metadata": {"path": path.parent}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=place).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert [output for output in outputs if output.output_type == "error"] == []
    shown = [output.get("data", {}) for output in outputs]
    told = "\n".join(
        output.get("text") or data.get("text/markdown") or data.get("text/plain", "")
        for output, data in zip(outputs, shown, strict=True)
    )
    for part in TOLD[path.stem]:
        assert part in told
    assert "Warning" not in "".join(output.text for output in outputs if output.get("name") == "stderr")
    assert any("image/png" in data for data in shown)
