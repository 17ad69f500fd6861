"""The printed comparison says what it compares, what it cannot compare, and what stands behind its numbers."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments.run.results import Folder, digest
from experiments.tables.collect import collect, complete_folders
from experiments.tables.compare import render
from experiments.tables.labels import labelled, settings_of, stock
from experiments.tables.reference import Reference, quoted

MEANS = {"fifo": 2.0, "sjf": 1.0, "up": 1.5}


def made(seeds: int = 3, **sweep: list[object]) -> pd.DataFrame:
    """A collected table: every combination of the lists in `sweep` (`trace__rate` is trace.rate) under each seed."""
    names = [name.replace("__", ".") for name in sweep]
    rows = [dict(zip(names, values, strict=True)) for values in itertools.product(*sweep.values())]
    table = pd.DataFrame([{**row, "seed": seed} for row in rows for seed in range(seeds)])
    table["run"] = [f"{number:016x}" for number in range(len(table))]
    table["inputs.replay"] = "trace " + table["seed"].astype(str)
    base = table["policy"].map(MEANS) if "policy" in table else 1.0
    table["response_time_mean"] = base * (1 + table["seed"])
    for name in ("p50", "p95", "p99", "max"):
        table[f"response_time_{name}"] = table["response_time_mean"]
    numbers = {"throughput_requests": 4.0, "throughput_requests_overall": 3.5, "window_seconds": 100.0, "requests": 600}
    shares = dict.fromkeys(("predicting_share", "scheduling_share", "offloaded_share"), 0.0)
    table = table.assign(**numbers, **shares, censored=0, rejected=0)
    return table.assign(**{"provenance.trace": "synthetic: made", "provenance.gpu": "a/b (c)"})


def row_of(text: str, *starts: str) -> str:
    """The line of a printed table that begins with these words."""
    (found,) = [line for line in text.splitlines() if line.split()[: len(starts)] == list(starts)]
    return found


def test_the_percentage_is_of_the_references_mean() -> None:
    told = render(made(policy=["fifo", "sjf"]))
    assert "mean - fifo" in told
    assert "-2.000 ± " in row_of(told, "sjf"), "1, 2, 3 s against 2, 4, 6 s"
    assert "-50.0" in row_of(told, "sjf"), "of the reference's mean; of its own it would be -100"
    assert "± nan" not in told


def test_seeds_that_change_nothing_are_one_observation_without_an_interval() -> None:
    table = made(policy=["fifo", "sjf"], seeds=5)
    table["inputs.replay"] = "one trace"
    times = [name for name in table if name.startswith("response_time")]
    for name in times:
        table[name] = table["policy"].map(MEANS)
    told = render(table)
    assert "1 of 5 2.000 2.000" in row_of(told, "fifo")
    assert row_of(told, "sjf").split()[-2:] == ["-1.000", "-50.0"]
    assert "fifo, sjf: no interval: 5 seeds gave one and the same run, an observation made 5 times" in told
    assert "resample=blocks" in told
    table.loc[table["seed"] > 2, times] *= 2
    told = render(table)
    assert "2 of 5" in row_of(told, "sjf")
    assert "fifo, sjf: 3 of 5 seeds repeat another's run, and count once" in told
    assert "-1.500 ± " in row_of(told, "sjf"), "1 and 2 s against 2 and 4 s, once each"


def test_what_a_seed_draws_beside_the_trace_is_told() -> None:
    table = made(policy=["fifo"])
    table["inputs.replay"] = "one trace"
    assert "fifo: only 1 different traces in 3 seeds" in render(table)


def test_no_difference_is_taken_between_runs_of_other_requests() -> None:
    table = made(policy=["fifo", "sjf", "up"])
    table.loc[table["policy"] == "sjf", "inputs.replay"] += " less the rows for training"
    told = render(table)
    assert row_of(told, "sjf").endswith("not paired not paired")
    assert "± " in row_of(told, "up").split("4.000")[-1]
    assert "sjf: not paired: other requests than fifo (the runs differ in their trace)" in told
    assert "trace.training_share=..." in told
    table["counts.training"] = [1000 if policy == "sjf" else 0 for policy in table["policy"]]
    told = render(table)
    assert (
        "sjf: not paired: other requests than fifo (1,000 rows kept for training, 0 there): give trace.training" in told
    )


@pytest.mark.parametrize(
    ("axis", "values"),
    [
        ("policy/routing", ["gpu", "offload"]),
        ("predictor", ["oracle", "rules"]),
        ("trace.rate", [4.0, 8.0]),
        ("cluster.devices.gpu.count", [1, 2]),
    ],
)
def test_a_reference_is_one_value_on_any_axis_at_equal_values_of_the_others(axis: str, values: list[object]) -> None:
    table = made(policy=["fifo", "sjf"], load=[0.5, 0.9], **{axis: values})
    table.loc[table[axis] == values[1], "response_time_mean"] *= 1.5
    first, second = (f"{value:g}" if isinstance(value, float) else str(value) for value in values)
    told = render(table, f"{axis}={first}")
    assert f"mean - {axis}={first}" in told
    for part in told.split("load=0.")[1:]:
        for policy in ("fifo", "sjf"):
            assert "+50.0" in row_of(part, policy, second)
            assert "50.0" not in row_of(part, policy, first)


def test_a_reference_is_any_policy_or_system() -> None:
    table = made(policy=["fifo", "sjf", "up"])
    assert "+50.0" in row_of(render(table, "sjf"), "up")
    table.insert(0, "system", [name if name != "up" else None for name in table["policy"]])
    assert "+100.0" in row_of(render(table, "system=sjf"), "fifo")


def test_runs_along_a_trace_are_paired_by_seed_and_said_to_be() -> None:
    table = made(policy=["fifo"], trace__rate=[4.0, 8.0])
    table["inputs.replay"] += table["trace.rate"].astype(str)
    assert "fifo trace.rate=8: paired by seed alone, as trace.rate changes what is replayed" in render(
        table, "trace.rate=4"
    )


def test_a_reference_that_no_run_has_is_answered_with_what_there_is() -> None:
    table = made(policy=["fifo", "sjf"], trace__rate=[4.0, 8.0])
    assert "no difference: no run is of reference=best; there is fifo, sjf" in render(table, "best")
    assert "no run is of reference=trace.rate=5; trace.rate is 4, 8" in render(table, "trace.rate=5")
    assert "no run says its cluster; they differ in policy, trace.rate" in render(table, "cluster=edge")
    assert "mean - " not in render(table, "best")
    assert "no difference" not in render(made(policy=["sjf"])), "one policy, and nothing was asked for"
    with pytest.raises(ValueError, match=r"runs 0000000000000000 and 0{15}3 are both reference=fifo"):
        render(pd.concat([made(policy=["fifo"]), made(policy=["fifo"]).assign(run="0" * 15 + "3")], ignore_index=True))


def test_a_seed_without_its_reference_is_told() -> None:
    table = made(policy=["fifo", "sjf"])
    told = render(table[~((table["policy"] == "fifo") & (table["seed"] == 2))])
    assert "sjf: compared over 2 of 3 runs" in told
    assert "no run of fifo has the same seed" in render(table[(table["policy"] == "sjf") != (table["seed"] == 0)])


@pytest.mark.parametrize(
    ("given", "passed"),
    [
        ("reference=policy/routing=gpu", "reference='policy/routing=gpu'"),
        ("+reference=trace.rate=4", "+reference='trace.rate=4'"),
        ("reference='trace.rate=4'", "reference='trace.rate=4'"),
        ("reference=rtlm", "reference=rtlm"),
        ("trace.rate=4", "trace.rate=4"),
    ],
)
def test_an_equals_sign_in_the_reference_gets_hydras_quotes(given: str, passed: str) -> None:
    assert quoted(["-m", given]) == ["-m", passed]
    assert Reference.of("policy=sjf") == Reference.of("system=sjf") == Reference.of("sjf")


def test_under_a_table_stands_what_is_behind_it() -> None:
    table = made(policy=["fifo", "sjf"])
    counts = {
        "read": 4000,
        "training": 0,
        "warmup": [400, 410, 420] * 2,
        "measured": 3600,
        "rejected": 0,
        "censored": 7,
    }
    table = table.assign(**{f"counts.{name}": value for name, value in counts.items()})
    table.insert(1, "load", 0.9)
    table = table.assign(**{"load.rate": 12.34, "load.capacity": 13.71, "load.of": "system=fifo"})
    told = render(table)
    assert "each run: 4,000 read, 0 for training, 400 to 420 warm-up, 3,600 measured, 7 censored" in told
    assert "load 0.9 = 12.3 requests/s of a capacity of 13.7 requests/s, system=fifo on this cluster" in told
    assert "P99 is of" not in told
    table.loc[table["policy"] == "sjf", "counts.training"] = 1000
    assert "each run of sjf: 4,000 read, 1,000 for training" in render(table)


def test_what_makes_a_number_doubtful_is_said_aloud_with_the_number() -> None:
    assert "P99 is of 499 requests, fewer than 500" in render(made(policy=["fifo"]).assign(requests=499))
    told = render(made(policy=["fifo"]).assign(window_seconds=0.5))
    assert "the measured span is 0.5 s, under 1 s" in told
    assert "1,200 requests/s, over 1,000" in told
    assert not any(word in render(made(policy=["fifo"])) for word in ("P99 is of", "span", "over 1,000"))


def test_what_was_not_measured_is_neither_0_nor_nan() -> None:
    table = made(policy=["fifo"]).assign(throughput_requests=np.nan, response_time_p99=np.nan, window_seconds=np.nan)
    told = render(table)
    assert "nan" not in told
    assert "requests/s, all" in told, "where the window shows nothing, all that finished"
    assert "3.500" in row_of(told, "fifo")
    assert " - " in row_of(told, "fifo")
    assert "requests/s, all" not in render(made(policy=["fifo"]).drop(columns="throughput_requests_overall"))


def test_a_seed_in_which_nothing_was_measured_is_told() -> None:
    table = made(policy=["fifo"])
    table.loc[table.index[0], "response_time_mean"] = np.nan
    told = render(table)
    assert f"{len(table) - 1} of {len(table)}" in row_of(told, "fifo")
    assert f"in 1 of {len(table)} seeds nothing was measured: means are over the others" in told


def test_the_cpus_column_is_there_where_a_cpu_is() -> None:
    assert "to CPU %" not in render(made(policy=["fifo"]))
    assert "to CPU %" in render(made(policy=["fifo"]).assign(**{"provenance.cpu": "a/cpu (c)"}))


def test_where_requests_call_out_times_without_calls_are_told_too():
    plain = made(policy=["fifo", "sjf"])
    assert "E2E - calls" not in render(plain)
    told = render(plain.assign(serving_time_mean=np.where(plain["policy"] == "fifo", 1.25, np.nan))).splitlines()
    assert told[1] == "E2E - calls: the mean without the time that calls took, where requests call out"
    assert ["requests/s" in line for line in told if "E2E - calls" in line] == [False, True]
    assert " 1.250 " in row_of("\n".join(told), "fifo")
    assert " - " in row_of("\n".join(told), "sjf")


def stored(
    root: Path, policy: dict[str, object], summary: dict[str, object], overrides: list[str], **config: object
) -> Folder:
    choices = {"policy": "fifo", "policy/order": "fifo"}
    made_of = {"config": {"policy": policy, **config}, "choices": choices, "inputs": {"replay": "r"}, "tokenyard": "0"}
    folder = Folder(root / digest(made_of))
    folder.begin(made_of)
    folder.complete({"id": np.array([])}, {}, summary, overrides)
    return folder


def test_a_part_from_outside_is_labelled_by_its_name(tmp_path: Path) -> None:
    shipped = stock("policy/order", "fifo")["_target_"]
    stored(tmp_path, {"order": {"_target_": shipped}}, {"response_time_mean": 1.0}, [], seed=0)
    overrides = ["policy.order._target_=mypkg.Mine"]
    stored(tmp_path, {"order": {"_target_": "mypkg.Mine"}}, {"response_time_mean": 2.0}, overrides, seed=0)
    table = collect(complete_folders(tmp_path))
    assert set(table["policy/order"]) == {"fifo", "Mine"}
    assert set(labelled(table)["policy"]) == {"fifo", "fifo order=Mine"}
    of_yaml = made(policy=["fifo"], order=["fifo", "latest"]).rename(columns={"order": "policy/order"})
    assert set(labelled(of_yaml)["policy"]) == {"fifo", "fifo order=latest"}


def test_a_null_is_a_number_that_was_not_measured_and_groups_are_columns(tmp_path: Path) -> None:
    for seed, value in enumerate((None, 2.5)):
        groups = {"counts": {"read": 10 + seed}, "load": {"rate": 1.5, "of": "system=fifo"}}
        stored(tmp_path, {}, {"ttft_mean": value, "requests": 3, **groups}, ["reference=sjf"], seed=seed)
    table = collect(complete_folders(tmp_path))
    assert table["ttft_mean"].dtype == float
    assert table["ttft_mean"].isna().tolist() == [True, False]
    assert table["requests"].dtype.kind == table["counts.read"].dtype.kind == "i"
    assert table[["inputs.replay", "load.of"]].to_numpy().tolist() == [["r", "system=fifo"]] * 2
    assert "reference" not in table


def test_1_and_1_0_are_one_setting(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for rate in (1, 1.0):
        stored(tmp_path, {}, {"response_time_mean": 1.0}, [f"trace.rate={rate}"], seed=0, trace={"rate": rate})
    assert len(collect(complete_folders(tmp_path))) == 1
    assert "left out, older than others of equal settings" in capsys.readouterr().err


def test_a_damaged_run_is_named_and_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = (stored(tmp_path, {}, {"response_time_mean": 1.0}, [], seed=seed) for seed in (0, 1))
    (bad.path / "summary.json").write_text(json.dumps({"response_time_mean": 1.0})[:-3])
    table = collect([good, bad])
    assert table["run"].tolist() == [good.path.name]
    assert f"left out: {bad.path / 'summary.json'} is damaged" in capsys.readouterr().err


def test_runs_of_a_system_and_of_a_policy_lie_in_one_table_with_a_damaged_one_beside(tmp_path: Path) -> None:
    stored(tmp_path, {}, {"response_time_mean": 1.0}, [], seed=0)
    choices = {"policy": "fifo", "system": "fifo"}
    made_of = {"config": {"seed": 0}, "choices": choices, "inputs": {}, "tokenyard": "0"}
    folder = Folder(tmp_path / digest(made_of))
    folder.begin(made_of)
    folder.complete({"id": np.array([])}, {}, {"response_time_mean": 2.0}, [])
    damaged = stored(tmp_path, {}, {"response_time_mean": 3.0}, [], seed=1)
    (damaged.path / "status.json").write_text("{")
    table = collect(complete_folders(tmp_path))
    assert list(table.columns).index("system") < list(table.columns).index("run")
    assert sorted(table["response_time_mean"]) == [1.0, 2.0]


def test_parts_that_all_policies_were_given_are_told_and_those_they_have_anyway_are_not() -> None:
    parts = {"policy/order": ["fifo"], "policy/batching": ["continuous"], "policy.batching.max_num_seqs": [8.0]}
    first, said = render(made(policy=["fifo"], **parts)).splitlines()[:2]
    assert first.startswith("response time (E2E) in seconds")
    assert said == "all runs: policy/batching=continuous, policy.batching.max_num_seqs=8"


def test_runs_of_one_part_with_other_settings_are_no_seeds_of_one_another() -> None:
    table = made(policy=["fifo"], **{"policy/routing": ["any_model", "threshold"], "policy.routing.limit": [5, 10]})
    table["policy.routing.limit"] = table["policy.routing.limit"].where(table["policy/routing"] == "threshold")
    told = render(table.drop_duplicates(settings_of(table)), "policy/routing=any_model")
    for limit in (5, 10):
        row = row_of(told, "fifo", "threshold", f"limit={limit}", "3")
        assert row.endswith("equal equal")  # each has its pair


def test_what_the_reference_was_swept_over_too_is_compared_at_equal_values() -> None:
    table = made(policy=["fifo"], **{"trace": ["poisson", "gamma"], "trace.rate": [4.0, 8.0]})
    table.loc[(table["trace"] == "gamma") & (table["trace.rate"] == 8), "response_time_mean"] *= 1.5
    told = render(table, "trace=poisson")
    assert "equal" in row_of(told[told.index("trace.rate=4") : told.index("trace.rate=8")], "fifo", "gamma", "3")
    assert "+50.0" in row_of(told[told.index("trace.rate=8") :], "fifo", "gamma", "3")


def test_objectives_that_hold_classes_and_equal_policies_are_told() -> None:
    table = made(policy=["fifo", "sjf", "up"]).assign(slo_attainment=0.9, slo_goodput=3.0, slo_holds=0)
    table.loc[table["policy"] == "sjf", "slo_holds"] = [1, 1, 0]
    table["attainment.chat"], table["attainment.code"] = 0.95, math.nan
    table.loc[table["policy"] == "up", "run"] = table.loc[table["policy"] == "sjf", "run"].to_numpy()
    text = render(table)
    assert " 0 of 3 " in row_of(text, "fifo")
    assert " 2 of 3 " in row_of(text, "sjf")
    assert "fifo, sjf, up: within SLO: chat 0.950" in text
    assert "up: the very runs of sjf" in text
