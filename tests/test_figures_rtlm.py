"""RT-LM's figures and tables: changes are paired and averaged as said, verdicts are right, and the command teaches."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments.figures.__main__ import main
from experiments.figures.rtlm import ablation
from experiments.figures.rtlm import main as main_result
from experiments.figures.rtlm.stored import METRICS, Stored, against, of, over_seeds
from experiments.stats import Interval

T2 = 4.302652729911275  # Student's t, 97.5 %, two degrees of freedom


def made(**sweep: object) -> pd.DataFrame:
    """A collected table: every combination of the lists in `sweep` (`trace__load` is trace.load), metrics to be set."""
    names = [name.replace("__", ".") for name in sweep]
    lists = [value if isinstance(value, list) else [value] for value in sweep.values()]
    table = pd.DataFrame(list(itertools.product(*lists)), columns=names)
    settings = {"trace": "made", "trace.requests": 10, "trace.correlation": 0.27, "load": 1.2}
    missing = {name: value for name, value in settings.items() if name not in table}
    table = table.assign(**missing, run=[f"{number:016x}" for number in range(len(table))])
    return table.assign(
        **dict.fromkeys(METRICS, 1.0), **{"provenance.trace": "synthetic: made", "provenance.gpu": "a/b (c)"}
    )


def set_at(table: pd.DataFrame, value: float, metric: str = "response_time_mean", **where: object) -> None:
    table.loc[of(table, **where).index, metric] = value


def full() -> pd.DataFrame:
    """Two workloads, three seeds; rtlm changes FIFO's mean by -10, -20, -30 % and by 0 on the other workload."""
    systems = ["fifo", "hpf", "luf", "muf", "up", "up_consolidation", "rtlm", "sjf_oracle"]
    table = made(
        model="t5-small", cluster="rtlm_server", load=0.9, trace__workload=["a", "b"], system=systems, seed=[0, 1, 2]
    )
    for seed in range(3):
        set_at(table, 2.0 + seed, seed=seed)
        set_at(table, (2.0 + seed) * (0.9 - 0.1 * seed), seed=seed, system="rtlm", trace__workload="a")
    set_at(table, 1.0, system="luf", trace__workload="a")
    set_at(table, 9.0, system="luf", trace__workload="b")
    set_at(table, 1.5, "throughput_requests", system="rtlm")
    return table


def test_changes_are_against_the_run_of_the_same_requests_and_averaged_within_a_seed() -> None:
    table = full()
    changes = against(table, of(table, system="fifo"))
    assert of(changes, system="fifo")[list(METRICS)].to_numpy() == pytest.approx(0)
    assert of(changes, system="rtlm", trace__workload="a")["response_time_mean"].tolist() == pytest.approx(
        [-10, -20, -30]
    )
    [row] = over_seeds(of(changes, system="rtlm"), ["model", "load"]).to_dict("records")
    assert (row["seeds"], row["throughput_requests"].mean) == (3, pytest.approx(50))
    assert row["response_time_mean"].mean == pytest.approx((-5 - 10 - 15) / 3)
    assert row["response_time_mean"].half_width == pytest.approx(T2 * 5 / np.sqrt(3))


def test_a_seed_without_one_of_the_workloads_is_left_out_and_a_double_run_refused() -> None:
    table = full()
    changes = against(table, of(table, system="fifo"))
    own = of(changes, system="rtlm")
    less = own[~((own["trace.workload"] == "b") & (own["seed"] == 2))]
    [row] = over_seeds(less, ["model"]).to_dict("records")
    assert (row["seeds"], row["response_time_mean"].mean) == (2, pytest.approx(-7.5))
    with pytest.raises(ValueError, match="two runs at model=t5-small, seed=0"):
        over_seeds(pd.concat([own, own]), ["model"])
    with pytest.raises(ValueError, match="two runs to compare with, at model=t5-small"):
        against(table, pd.concat([of(table, system="fifo")] * 2))


def test_the_best_baseline_is_chosen_by_cell() -> None:
    table = full()
    changes = against(table, of(table, system="fifo"))
    fine = main_result.against_best(table, changes, main_result.CELLS)
    assert fine.groupby("trace.workload")["best"].unique().map(list).to_dict() == {"a": ["luf"], "b": ["fifo"]}
    rtlm = of(fine, system="rtlm", trace__workload="a")["response_time_mean"].tolist()
    assert rtlm == pytest.approx([80, 140, 180])  # 1.8, 2.4 and 2.8 s against 1
    coarse = main_result.against_best(table, changes, main_result.AVERAGED)
    assert set(coarse["best"]) == {"fifo"}  # luf: -50, -67 and -75 % on a, +350, +200 and +125 % on b


@pytest.mark.parametrize(
    ("change", "metric", "said"),
    [
        (Interval(-5, 4), "response_time_mean", "better"),
        (Interval(5, 4), "response_time_max", "worse"),
        (Interval(5, 4), "throughput_requests", "better"),
        (Interval(-5, 6), "response_time_mean", "undecided"),
        (Interval(0, 0), "response_time_mean", "undecided"),
        (Interval(-5, float("nan")), "response_time_mean", "undecided"),
    ],
)
def test_a_verdict_needs_an_interval_without_zero(change: Interval, metric: str, said: str) -> None:
    assert main_result.verdict(change, metric) == said


def test_main_writes_its_figures_and_tables(tmp_path: Path) -> None:
    files = main_result.make(Stored(Path(), {"rtlm_main": full()}), tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(files)
    gains = pd.read_csv(tmp_path / "main_gains.csv").iloc[0]
    assert gains["mean response time - fifo (%)"] == pytest.approx(-10)
    assert gains["mean response time - fifo (%) ±"] == pytest.approx(T2 * 5 / np.sqrt(3))
    assert gains["best"] == "fifo"
    cells = pd.read_csv(tmp_path / "main_cells.csv").set_index(["system", "against", "metric"])
    of_rtlm = cells.loc[("rtlm", "fifo", "mean response time")]
    # workload a: -20 ± 4.30 * 10 / sqrt(3) = ± 24.8: undecided; b: 0
    assert of_rtlm[["cells", "better", "worse", "undecided"]].tolist() == [2, 0, 0, 2]
    assert of_rtlm["mean (%)"] == pytest.approx(-10)
    assert cells.loc[("rtlm", "fifo", "throughput"), ["better", "worse"]].tolist() == [2, 0]
    losses = pd.read_csv(tmp_path / "main_losses.csv")
    assert losses[["trace.workload", "against", "metric"]].to_numpy().tolist() == [["a", "best", "mean response time"]]
    assert losses["change (%)"].item() == pytest.approx((80 + 140 + 180) / 3)
    assert "| t5-small | rtlm_server | 0.9 | 3 | -10.0 ± 12.4 |" in (tmp_path / "main_gains.md").read_text()


def test_a_main_effect_is_the_mean_with_the_mechanism_less_that_without() -> None:
    table = made(
        model="t5-small",
        cluster="rtlm_edge",
        trace__workload="a",
        system=[*ablation.PARTS, "rtlm_recalled"],
        seed=[0, 1],
    )
    for system, parts in ablation.PARTS.items():
        set_at(table, 1 - 0.3 * ("UP" in parts) - 0.1 * ("consolidation" in parts), system=system, seed=0)
        set_at(table, 1 - 0.5 * ("UP" in parts) + 0.2 * ("UP" in parts and "offload" in parts), system=system, seed=1)
    set_at(table, 99.0, system="rtlm_recalled")
    changes = against(table, of(table, system="fifo"))
    found = ablation.main_effects(changes, ablation.CELL).set_index("mechanism")["response_time_mean"]
    assert found["UP"].mean == pytest.approx((-30 - 40) / 2)  # seed 1: -50 without offload, -30 with it
    assert found["consolidation"].mean == pytest.approx((-10 + 0) / 2)
    assert found["offload"].mean == pytest.approx((0 + 10) / 2)  # seed 1: 20 with UP, 0 without
    lacking = of(changes, seed=0)[of(changes, seed=0)["system"] != "up_offload"]
    whole = ablation.main_effects(pd.concat([lacking, of(changes, seed=1)]), ablation.CELL)
    assert set(whole["seeds"]) == {1}


def test_what_has_no_results_is_named_with_its_command_and_the_rest_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["rtlm", "main", "--results", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert said == (
        f"rtlm main: no complete run in {tmp_path / 'rtlm_main'}; to make them: "
        f"tokenyard -m experiment=rtlm_main results={tmp_path}\n"
    )
    monkeypatch.setattr(ablation, "make", lambda stored, output: [output / "a.png"])
    assert main(["rtlm", "main", "ablation", "--results", str(tmp_path)]) == 0
    told = capsys.readouterr()
    assert "rtlm ablation: 1 files in" in told.out
    assert "rtlm main: no complete run" in told.err


def test_help_names_every_figure_and_an_unknown_one_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match=r"^0$"):
        main(["--help"])
    told = capsys.readouterr().out
    assert "Which of UP, consolidation and offload carries RT-LM's gain" in told
    with pytest.raises(SystemExit, match=r"^2$"):
        main(["rtlm", "nonsense"])
    assert "rtlm has no nonsense: it has main, ablation" in capsys.readouterr().err
