"""RT-LM's figures and tables: changes are paired and averaged as said, verdicts are right, and the command teaches."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments.figures.stored import METRICS, Stored, of
from experiments.papers.rtlm.draw import main
from experiments.papers.rtlm.figures import (
    FIGURES,
    SETTINGS,
    ablation,
    calibration,
    continuous,
    kinds,
    ladder,
    overhead,
    real,
    sensitivity,
)
from experiments.papers.rtlm.figures import main as main_result
from experiments.papers.rtlm.figures.shared import against, over_seeds
from experiments.run.results import Folder, digest
from experiments.tables.stats import Interval, quantile


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
        set_at(table, 1.5 + 0.1 * seed, "throughput_requests", system="rtlm", seed=seed)
    set_at(table, 0.5, system="luf", trace__workload="a")
    set_at(table, 9.0, system="luf", trace__workload="b")
    return table


def test_changes_are_against_the_run_of_the_same_requests_and_averaged_within_a_seed() -> None:
    table = full()
    pairs = against(table, of(table, system="fifo"))
    nothing = over_seeds(of(pairs, system="fifo"), ["model", "trace.workload"], averaged=())
    assert [found.mean for name in METRICS for found in nothing[name]] == pytest.approx([0] * 2 * len(METRICS))
    [row] = over_seeds(of(pairs, system="rtlm"), ["model", "load"]).to_dict("records")
    assert (row["seeds"], row["throughput_requests"].mean) == (3, pytest.approx(60))
    fifo, rtlm = np.array([2.0, 3.0, 4.0]), np.array([1.8, 2.4, 2.8])
    assert row["response_time_mean"].mean == pytest.approx(100 * (7 / 9 - 1) / 2), "the other workload: no change"
    left_out = [50 * (np.delete(rtlm, seed).sum() / np.delete(fifo, seed).sum() - 1) for seed in range(3)]
    half = quantile(3) * np.sqrt(2 / 3 * np.square(np.array(left_out) - np.mean(left_out)).sum())
    assert row["response_time_mean"].half_width == pytest.approx(half)


def test_a_seed_without_one_of_the_workloads_is_left_out_and_a_double_run_refused() -> None:
    table = full()
    changes = against(table, of(table, system="fifo"))
    own = of(changes, system="rtlm")
    less = own[~((own["trace.workload"] == "b") & (own["seed"] == 2))]
    [row] = over_seeds(less, ["model"]).to_dict("records")
    assert (row["seeds"], row["response_time_mean"].mean) == (2, pytest.approx(100 * (4.2 / 5 - 1) / 2))
    with pytest.raises(ValueError, match="two runs at model=t5-small, seed=0"):
        over_seeds(pd.concat([own, own]), ["model"])
    with pytest.raises(ValueError, match="two runs to compare with, at model=t5-small"):
        against(table, pd.concat([of(table, system="fifo")] * 2))


def test_runs_of_other_requests_are_no_pair_unless_a_setting_of_the_trace_asks_for_them() -> None:
    table = full().assign(**{"inputs.replay": "the same"})
    assert len(against(table, of(table, system="fifo"))) == len(table)
    table.loc[of(table, system="rtlm", seed=1).index, "inputs.replay"] = "less the rows for training"
    with pytest.raises(ValueError, match=r"not paired: 2 of 48 runs replayed other requests .*seed=1.*training_share"):
        against(table, of(table, system="fifo"))
    asked = table.assign(**{"trace.deadlines": "1 to 2 s"})
    assert len(against(asked, of(table, system="fifo"))) == len(table)


def test_the_best_baseline_is_chosen_by_cell() -> None:
    table = full()
    changes = against(table, of(table, system="fifo"))
    fine = main_result.against_best(table, changes, main_result.CELLS)
    assert fine.groupby("trace.workload")["best"].unique().map(list).to_dict() == {"a": ["luf"], "b": ["fifo"]}
    [rtlm] = over_seeds(of(fine, system="rtlm", trace__workload="a"), ["best"])["response_time_mean"]
    assert rtlm.mean == pytest.approx(100 * (7 / 1.5 - 1))  # 1.8, 2.4 and 2.8 s against 0.5
    coarse = main_result.against_best(table, changes, main_result.AVERAGED)
    assert set(coarse["best"]) == {"fifo"}  # luf: -83 % on a, +200 % on b


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
    files = main_result.make(Stored(Path(), SETTINGS, {"rtlm/main": full()}), tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(files)
    gains = pd.read_csv(tmp_path / "main_gains.csv").iloc[0]
    assert gains["mean response time - fifo (%)"] == pytest.approx(100 * (7 / 9 - 1) / 2)
    assert gains["mean response time - fifo (%) ±"] == pytest.approx(14.816, abs=1e-3)  # as worked out above
    assert gains["best"] == "fifo"
    cells = table_of(tmp_path / "main_cells.csv", "load", "system", "against", "metric")
    of_rtlm = cells.loc[("all", "rtlm", "fifo", "mean response time")]
    # workload a: -22.2 ± 29.6: undecided; b: 0
    assert of_rtlm[["cells", "better", "worse", "undecided"]].tolist() == [2, 0, 0, 2]
    assert of_rtlm["mean (%)"] == pytest.approx(100 * (7 / 9 - 1) / 2)
    assert cells.loc[("0.9", "rtlm", "fifo", "throughput"), ["better", "worse"]].tolist() == [2, 0]
    losses = pd.read_csv(tmp_path / "main_losses.csv")
    assert losses[["trace.workload", "against", "metric"]].to_numpy().tolist() == [["a", "best", "mean response time"]]
    assert losses["change (%)"].item() == pytest.approx(100 * (7 / 1.5 - 1))
    assert "| t5-small | rtlm_server | 0.9 | 3 | -11.1 ± 14.8 |" in (tmp_path / "main_gains.md").read_text()


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
    assert main(["main", "--results", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert said == (
        f"rtlm main: no complete run in {tmp_path / 'rtlm/main'}; to make them: "
        f"tokenyard -m experiment=rtlm/main results={tmp_path}\n"
    )
    made = FIGURES["ablation"]._replace(make=lambda stored, output: [output / "a.png"])
    monkeypatch.setitem(FIGURES, "ablation", made)
    assert main(["main", "ablation", "--results", str(tmp_path)]) == 0
    told = capsys.readouterr()
    assert "rtlm ablation: 1 files in" in told.out
    assert "rtlm main: no complete run" in told.err


def test_help_names_every_figure_and_an_unknown_one_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match=r"^0$"):
        main(["--help"])
    told = capsys.readouterr().out
    assert all(figure.about in told for figure in FIGURES.values())
    with pytest.raises(SystemExit, match=r"^2$"):
        main(["nonsense"])
    assert "rtlm has no nonsense: it has main, ablation" in capsys.readouterr().err


def stored(tmp_path: Path, **tables: pd.DataFrame) -> Stored:
    return Stored(tmp_path, SETTINGS, {f"rtlm/{name}": table for name, table in tables.items()})


def with_requests(tmp_path: Path, name: str, table: pd.DataFrame, requests: list[dict[str, list[object]]]) -> Stored:
    """A sweep whose runs, in the order of `table`, have these requests."""
    for run, columns in zip(table["run"], requests, strict=True):
        folder = tmp_path / f"rtlm/{name}" / run
        folder.mkdir(parents=True)
        pd.DataFrame(columns).to_parquet(folder / "requests.parquet")
    return stored(tmp_path, **{name: table})


def table_of(path: Path, *index: str) -> pd.DataFrame:
    return pd.read_csv(path).set_index(list(index))


WHERE = {"model": "t5-small", "cluster": "rtlm_server", "trace__workload": "a"}
MEAN = "mean response time (%)"


def test_a_knob_is_compared_with_fifo_elsewhere_or_with_its_own_and_else_told_in_seconds(tmp_path: Path) -> None:
    column = "policy.batching.max_wait"
    xi = made(**WHERE, load=[0.3, 1.2], system="rtlm", seed=[0, 1]).assign(**{column: 2.0})
    set_at(xi, 3.0, seed=0)
    set_at(xi, 5.0, seed=1)
    c_f = made(**WHERE, system=["fifo", "rtlm"], seed=[0, 1], policy__batching__batch_size=[4, 8])
    set_at(c_f, 10.0, system="fifo", policy__batching__batch_size=4)
    fifo = made(**WHERE, system="fifo", seed=[0, 1])
    fifo["response_time_mean"] = 2.0
    other = made(**WHERE, load=0.3, system="fifo", seed=[0, 1]).assign(**{"trace.requests": 99})
    files = sensitivity.make(stored(tmp_path, xi=xi, c_f=c_f, ablation=fifo, main=other), tmp_path / "figures")
    assert all(path.exists() for path in files)
    found = table_of(tmp_path / "figures" / "sensitivity.csv", "knob", "load", "value")
    assert found.loc[("xi (s)", 1.2, 2.0), MEAN] == pytest.approx(100)  # +50 and +150 %
    assert found.loc[("xi (s)", 1.2, 2.0), f"{MEAN} ±"] == pytest.approx(quantile(2) * 50, rel=1e-4)
    assert np.isnan(found.loc[("xi (s)", 0.3, 2.0), MEAN])
    assert found.loc[("xi (s)", 0.3, 2.0), "mean response time (s)"] == pytest.approx(4)
    assert found.loc[("C_f", 1.2, 4.0), MEAN] == pytest.approx(-90)
    assert found.loc[("C_f", 1.2, 8.0), MEAN] == pytest.approx(0)
    assert "in seconds alone: xi (s) at load 0.3" in (tmp_path / "figures" / "sensitivity.md").read_text()


def test_malicious_shares_are_compared_at_equal_share_and_predictions_with_the_ablations_fifo(tmp_path: Path) -> None:
    share, k = "trace__malicious_share", "calibration__malicious_quantile"
    table = made(**WHERE, system=["fifo", "rtlm"], seed=[0, 1], **{share: [0.0, 0.5], k: [0.9, 0.999]})
    set_at(table, 4.0, system="fifo", **{share: 0.5})
    set_at(table, 3.0, system="rtlm", **{share: 0.5, k: 0.9})
    files = FIGURES["malicious"].make(stored(tmp_path, malicious=table), tmp_path)
    assert [path.name for path in files] == [f"malicious.{kind}" for kind in ("png", "pdf", "csv", "md")]
    found = table_of(tmp_path / "malicious.csv", "calibration.malicious_quantile", "trace.malicious_share", "system")
    assert found[MEAN].to_dict() == {
        (0.9, 0.0, "rtlm"): pytest.approx(0), (0.9, 0.5, "rtlm"): pytest.approx(-25),
        (0.999, 0.0, "rtlm"): pytest.approx(0), (0.999, 0.5, "rtlm"): pytest.approx(-75),
    }  # fmt: skip
    foretold = made(**WHERE, system="up", seed=[0, 1], predictor=["oracle", "lw", "shuffled"])
    set_at(foretold, 0.2, predictor="oracle")
    fifo = made(**WHERE, system="fifo", seed=[0, 1], predictor="constant_given").assign(response_time_mean=0.8)
    FIGURES["predictions"].make(stored(tmp_path, predictions=foretold, ablation=fifo), tmp_path)
    found = table_of(tmp_path / "predictions.csv", "predictor")[MEAN]
    assert found.to_dict() == {"oracle": pytest.approx(-75), "lw": pytest.approx(25), "shuffled": pytest.approx(25)}


def test_other_conditions_and_real_pairs_make_their_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    correlations = made(**WHERE, system=["fifo", "up"], seed=[0, 1], trace__correlation=[0.0, 0.8])
    set_at(correlations, 0.9, system="up", trace__correlation=0.8)
    variances = made(**WHERE, system=["fifo", "up"], seed=[0, 1], trace__variance=[0.25, 2.0])
    set_at(variances, 1.3, system="up", trace__variance=2.0)
    recorded = made(model="m", cluster="gpu_cpu", trace__workload=None, system=["fifo", "rtlm"], seed=[0, 1])
    set_at(recorded, 100.0, system="rtlm")
    sweeps = stored(tmp_path, strength=correlations, variance=variances, recorded=recorded)
    for module in (FIGURES["strength"], FIGURES["variance"], real):
        assert all(path.exists() for path in module.make(sweeps, tmp_path))
    assert table_of(tmp_path / "strength.csv", "trace.correlation")[MEAN].tolist() == pytest.approx([0, -10])
    assert table_of(tmp_path / "variance.csv", "trace.variance")[MEAN].tolist() == pytest.approx([0, 30])
    assert pd.read_csv(tmp_path / "real.csv")[MEAN].tolist() == pytest.approx([9900])
    assert "left out: no complete run in" in capsys.readouterr().err


def test_continuous_and_static_batches_are_each_compared_with_their_own_fifo(
    tmp_path: Path,
) -> None:
    static = made(**WHERE | {"trace__workload": ["a", "b"]}, system=["fifo", "up"], seed=[0, 1], load=[0.3, 1.2])
    set_at(static, 0.5, system="up", trace__workload="a")
    set_at(static, 9.0, system="up", trace__workload="b")
    continuous_table = made(**WHERE, system=["fifo", "up"], seed=[0, 1], load=1.2)
    set_at(continuous_table, 0.4, system="fifo")
    set_at(continuous_table, 0.6, system="up")
    files = continuous.make(stored(tmp_path, main=static, continuous=continuous_table), tmp_path)
    assert all(path.exists() for path in files)
    found = table_of(tmp_path / "continuous.csv", "batching", "load", "system")
    assert found.loc[("static", 1.2, "up"), [MEAN, "seconds"]].tolist() == pytest.approx([-50, 0.5])
    assert found.loc[("continuous", 1.2, "up"), [MEAN, "seconds"]].tolist() == pytest.approx([50, 0.6])
    elsewhere = continuous_table.assign(model="another")
    with pytest.raises(ValueError, match="no runs of a model, platform and workload"):
        continuous.make(stored(tmp_path, main=static, continuous=elsewhere), tmp_path)


def test_kinds_are_means_over_all_workloads_of_a_seed(tmp_path: Path) -> None:
    table = made(**WHERE | {"trace__workload": ["a", "b"]}, system="fifo", seed=[0, 1])  # a 0, a 1, b 0, b 1
    tokens = [[10, 20], [30, 40], [40, 20], [50, 60]]
    requests = [
        {"output_tokens": two, "arrival": [0.0, 1.0], "finished": [2.0, 1.0 + number], "task": ["vague", "plain"]}
        for number, two in enumerate(tokens)
    ]
    sweep = with_requests(tmp_path, "kinds", table, requests)
    assert all(path.exists() for path in kinds.make(sweep, tmp_path / "figures"))
    found = table_of(tmp_path / "figures" / "kinds.csv", "task")
    assert list(found.index) == ["plain", "vague"]
    assert found.loc["vague", ["requests", "seeds", "mean output tokens"]].tolist() == [4, 2, (25 + 40) / 2]
    assert found.loc["plain", ["mean output tokens", "mean latency (s)"]].tolist() == [(20 + 50) / 2, (1 + 2) / 2]
    assert "t5-small vague n = 4" in (tmp_path / "figures" / "kinds.md").read_text()


def test_the_ladder_is_correlated_run_by_run(tmp_path: Path) -> None:
    table = made(**WHERE, system="fifo", seed=[0, 1], predictor=["lw", "prompt_length"])
    requests = [
        {"predicted_tokens": [1.0, 2.0, 3.0], "output_tokens": [1, 2, 9]},
        {"predicted_tokens": [5.0, 5.0, 5.0], "output_tokens": [1, 2, 9]},
        {"predicted_tokens": [1.0, 2.0, 3.0], "output_tokens": [9, 1, 10]},
        {"predicted_tokens": [3.0, 2.0, 1.0], "output_tokens": [1, 2, 9]},
    ]
    ladder.make(with_requests(tmp_path, "ladder", table, requests), tmp_path / "figures")
    found = table_of(tmp_path / "figures" / "ladder.csv", "predictor")
    assert list(found.index) == ["prompt_length", "lw"]
    assert found.loc["lw", "Spearman's rho"] == pytest.approx((1 + 0.5) / 2)
    assert found.loc["lw", "Kendall's tau"] == pytest.approx((1 + 1 / 3) / 2)
    r = 8 / np.sqrt(2 * 38), 1 / np.sqrt(2 * 146 / 3)  # covariances 8 and 1, sums of squares 2, 38 and 146 / 3
    assert found.loc["lw", "Pearson's r"] == pytest.approx(np.mean(r))
    assert found.loc["prompt_length", "Spearman's rho"] == pytest.approx(-1)  # of the one seed that has one


def test_overhead_is_in_milliseconds_and_shares_of_rtlm(tmp_path: Path) -> None:
    table = made(**WHERE | {"trace__workload": ["a", "b"]}, load=0.9, system="rtlm", seed=[0, 1])
    table["predicting_share"], table["scheduling_share"] = [0.01, 0.03, 0.03, 0.05], 0.002
    requests = [
        {"predictor_seconds": [0.001 + number, 0.003 + number], "overhead_seconds": [0.0001, 0.0003 + number]}
        for number in (0, 1, 0.002, 1)
    ]
    files = overhead.make(with_requests(tmp_path, "main", table, requests), tmp_path / "figures")
    assert all(path.exists() for path in files)
    row = pd.read_csv(tmp_path / "figures" / "overhead.csv").iloc[0]
    assert row["predictor (ms)"] == pytest.approx((2 + 4) / 2)  # seed 0 alone
    assert row["scheduler (ms)"] == pytest.approx((0.2 + 1.2) / 2)
    assert row["predicting (%)"] == pytest.approx((2 + 4) / 2)
    assert row["scheduling (%)"] == pytest.approx(0.2)


def test_constants_are_told_with_their_spread_over_workloads(tmp_path: Path) -> None:
    table = made(**WHERE | {"trace__workload": ["a", "b"]}, system=["rtlm", "up"], seed=0)
    constants = {"phi": 2e-6, "eta": 5e-3, "batch_size": 32, "kappa": 5.25}
    table = table.assign(**{f"calibration.{name}": value for name, value in constants.items()})
    table["calibration.tau"] = [40.0, 999.0, 45.5, 999.0]
    calibration.make(stored(tmp_path, main=table), tmp_path)
    row = pd.read_csv(tmp_path / "calibration.csv", dtype=str).iloc[0].to_dict()
    assert row == {
        "model": "t5-small", "cluster": "rtlm_server", "phi (µs/prompt token)": "2", "eta (ms/output token)": "5",
        "C_f": "32", "kappa": "5.25", "tau (tokens)": "40.0 to 45.5",
    }  # fmt: skip


def test_runs_that_are_not_there_are_named() -> None:
    with pytest.raises(ValueError, match="no run with system=fifo: has the sweep been cut short"):
        of(full(), system="rtlm").pipe(of, system="fifo")


def test_sweeps_are_read_with_their_settings_overridden_or_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(seed: int, requests: int) -> None:
        trace = {"workload": "a", "requests": requests, "rate": 4.0, "model": "${model}"}
        config = {"model": "t5-small", "seed": seed, "load": 0.9, "trace": trace, "batches": [4, 8]}
        made_of = {"choices": {"system": "rtlm", "policy": "rtlm"}, "inputs": {}, "config": config}
        folder = Folder(tmp_path / "rtlm/made" / digest(made_of))
        folder.begin(made_of)
        overrides = [f"seed={seed}", "trace.model=x", "batches.1=8", "trace.none.such=1"]
        folder.complete({"output_tokens": np.array([seed])}, {}, {"response_time_mean": 1.0 + seed}, overrides)

    run(0, 10)
    run(1, 10)
    found = Stored(tmp_path, SETTINGS).table("rtlm/made")
    assert found["response_time_mean"].tolist() == [1.0, 2.0]
    settings = ["system", "load", "trace.workload", "trace.model", "batches.1"]
    assert found[settings].to_numpy().tolist() == [["rtlm", 0.9, "a", "t5-small", 8]] * 2
    assert found["trace.correlation"].isna().all()
    assert found["trace.none.such"].isna().all()
    sweeps = Stored(tmp_path, SETTINGS)
    assert sweeps.requests("rtlm/made", sweeps.table("rtlm/made")["run"][1], ["output_tokens"]).to_numpy().item() == 1
    assert "left out" not in capsys.readouterr().err
    Folder(tmp_path / "rtlm/made" / "ffff").begin({})
    run(2, 20)
    with pytest.raises(ValueError, match="has runs of 10 and 20 requests: remove those of one kind"):
        Stored(tmp_path, SETTINGS).table("rtlm/made")
    assert "rtlm/made: 1 runs are not complete, and left out\n" in capsys.readouterr().err
