"""A run of a measured trace: its errors stand in its summary, on the screen and in a picture."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments.tables.collect import collect, complete_folders
from experiments.validation.measured import error_table, summarized, with_measured
from experiments.validation.shown import render
from tests.conftest import ROOT

RECORDED = "measured/vllm-0.19.0_rtx-pro-6000_llama-3.1-8b.jsonl.gz"
KERNELS = "measured/rtx-pro-6000_llama-3.1-8b_attention.csv.gz"


def simulated(count: int = 4) -> dict[str, np.ndarray]:
    arrival = np.arange(count, dtype=float)
    lengths = {"prompt_tokens": np.full(count, 7), "output_tokens": np.full(count, 11)}
    times = {"first_scheduled": arrival, "first_token": arrival + 1.0, "finished": arrival + 2.0}
    return {"id": np.arange(count), "arrival": arrival, **lengths, **times}


def replayed(count: int = 4) -> pd.DataFrame:
    """Twice as long to the first token in the first half of the run, and as simulated in the second."""
    slow = np.where(np.arange(count) < count // 2, 2.0, 1.0)
    arrival = np.arange(count, dtype=float)
    times = {"measured_first_scheduled": arrival, "measured_first_token": arrival + slow}
    table = pd.DataFrame({**times, "measured_finished": arrival + slow + 1.0})
    table.attrs["fitted"] = 2
    return table


def test_an_unmeasured_run_stays_as_it_is() -> None:
    requests = simulated()
    assert with_measured(requests, pd.DataFrame({"arrival": [0.0] * 4})) is requests
    assert summarized(requests) == {}


def test_errors_are_of_all_of_the_first_and_of_the_rest() -> None:
    requests = with_measured(simulated(), replayed())
    table = error_table(pd.DataFrame(requests)).set_index(["metric", "statistic"])
    mean = table.loc[("TTFT", "mean")]
    assert mean["measured"] == pytest.approx(1.5)
    assert mean["error"] == pytest.approx(-1 / 3)
    assert mean["first"] == pytest.approx(-0.5)
    assert mean["rest"] == pytest.approx(0.0)
    assert np.isnan(table.loc[("throughput", "tokens/s"), "rest"])
    assert summarized(requests)["errors"]["TTFT mean"] == pytest.approx(-1 / 3)
    shown = render(table.reset_index())
    assert "-50.0 %" in shown
    assert "nan" not in shown


def test_rows_are_matched_by_id() -> None:
    part = {name: column[[3, 0]] for name, column in simulated().items()}
    assert with_measured(part, replayed())["measured_first_token"].tolist() == [4.0, 2.0]
    assert with_measured(part, replayed())["fitted"].tolist() == [False, True]


@pytest.fixture(scope="module")
def validation(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    data = Path(os.environ.get("TOKENYARD_DATA") or ROOT.parent / "shared" / "data")
    missing = [name for name in (RECORDED, KERNELS) if not (data / name).is_file()]
    if missing:
        pytest.skip(f"{', '.join(missing)} not in {data}")
    results = tmp_path_factory.mktemp("results")
    line = [sys.executable, "-m", "experiments.cli", "run", "experiment=validation/rtx_pro_6000", f"results={results}"]
    environment = {**os.environ, "TOKENYARD_DATA": str(data.resolve())}
    done = subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return results / "validation/rtx_pro_6000", done.stdout


def test_the_validation_prints_and_keeps_its_errors_and_draws_them(validation: tuple[Path, str]) -> None:
    results, printed = validation
    (folder,) = complete_folders(results)
    summary = json.loads((folder.path / "summary.json").read_text())
    assert set(summary["errors"]) >= {
        f"{m} {s}" for m in ("TTFT", "TPOT", "E2E") for s in ("mean", "P50", "P90", "P99")
    }
    assert collect([folder])["errors.TTFT mean"].iloc[0] == summary["errors"]["TTFT mean"]
    assert "simulated beside measured, 300 requests; seconds. Errors also of the first 60 requests" in printed
    assert re.search("measured +simulated +error +first 60 +rest\n", printed)
    assert f"{100 * summary['errors']['E2E P99']:+.1f} %" in printed
    for kind in ("png", "pdf"):
        assert (results / "figures" / f"validation-{folder.path.name}.{kind}").stat().st_size > 1000


def test_the_simulator_is_close_to_the_real_run(validation: tuple[Path, str]) -> None:
    """The bounds of the means are LLMServingSim's errors on this run."""
    (folder,) = complete_folders(validation[0])
    found = folder.summary()["errors"]
    assert abs(found["TTFT mean"]) < 0.040
    assert abs(found["E2E mean"]) < 0.018
    assert abs(found["TPOT mean"]) < 0.010
    assert max(abs(found[f"{metric} P99"]) for metric in ("TTFT", "TPOT", "E2E")) < 0.10
