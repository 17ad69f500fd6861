"""ALISE's throughputs are compared where curves pass a latency; the figures are drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments.figures.stored import Stored
from experiments.papers.alise import tables
from experiments.papers.alise.figures import FIGURES, LOOKS, SWEEPS
from experiments.papers.alise.tables import LATENCY

RATES = np.array([1.0, 2.0, 4.0, 8.0])


def stored(sweep: str = "made", factor: float = 2.0) -> Stored:
    """Latencies of 0.01 s/token at 1/s, ten times with each doubling; ALISE's are those at 1 / `factor` the rate."""
    rows = []
    for seed in range(3):
        for system in LOOKS:
            stretch = factor * (1 + 0.01 * seed) if system == "alise" else 1.0
            for rate in RATES:
                seconds = 0.01 * 10 ** np.log2(rate / stretch)
                rows.append({"system": system, "seed": seed, "trace.rate": rate, LATENCY: seconds})
    table = pd.DataFrame(rows).assign(**{"provenance.trace": "synthetic: made", "provenance.gpu": "a/b (c)"})
    table = table.assign(run=[f"{number:016x}" for number in range(len(table))], trace="made")
    return Stored(Path("nowhere"), tables.SETTINGS, {name: table for name in (sweep, *SWEEPS)})


def test_throughputs_are_compared_where_the_curves_pass_a_latency() -> None:
    """At 0.1 s/token the reference has passed at 2/s and the other at 4, and in the others 1 and 2 % later."""
    found, other = tables.throughput(stored(), "made", limits=(0.1,))
    wheres = ["over vLLM's V0 at 0.1 s/token", "over FCFS on the same engine at 0.1 s/token"]
    assert [found.where, other.where] == wheres
    assert found.value.mean == pytest.approx(2.02, abs=0.03)
    assert found.value.half_width < 0.1
    [same] = tables.throughput(stored(factor=1.0), "made", references=("vllm_v0",), limits=(0.1,))
    assert same.value.mean == pytest.approx(1.01, abs=0.02)


@pytest.mark.parametrize("limit", [0.001, 100.0])
def test_a_latency_that_is_not_passed_is_named(limit: float) -> None:
    with pytest.raises(ValueError, match=rf"seed 0: the latency does not pass {limit:g} s/token within 1 to 8/s"):
        tables.throughput(stored(), "made", limits=(limit,))


def test_the_latency_at_a_rate_is_told() -> None:
    [found] = tables.latency(stored(), "made", "vllm_v0", 2.0)
    assert (found.where, found.value.mean) == ("at 2 requests/s", pytest.approx(0.1))


def test_the_figure_is_drawn(tmp_path: Path) -> None:
    paths = FIGURES["alise"].make(stored(), tmp_path)
    assert [path.name for path in paths] == ["alise.png", "alise.pdf"]
    assert all(path.stat().st_size > 10_000 for path in paths)
