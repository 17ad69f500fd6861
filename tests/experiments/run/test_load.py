"""load= is a multiple of what a system serves of the run's own trace; rows are kept back where something is fitted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from experiments.run.inputs import read_inputs
from experiments.run.load import _capacity, at_load, described
from experiments.run.training import KEEP, SHARE, fitted, keeping_rows, wanted
from tests.conftest import ROOT
from traces.formats.parquet import write

STEP = 0.01  # s, whatever is in it
ANSWER = 5  # tokens: a prefill, which gives the first, and four decode steps


def composed(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(ROOT / "experiments" / "conf"), version_base="1.3"):
        return compose("config", overrides=[*overrides])


@pytest.fixture
def steady(tmp_path: Path, const_profiles: Path) -> list[str]:
    """The settings of 64 equal requests on a device whose every step takes 10 ms."""
    rows = {"arrival": np.arange(64.0), "prompt_tokens": 100, "output_tokens": ANSWER, "max_tokens": ANSWER}
    write(pd.DataFrame(rows), tmp_path / "steady.parquet", {"source": "made"})
    folders = [f"cluster.devices.{name}.profile.folder={const_profiles}" for name in ("gpu", "cpu")]
    return [
        "trace=parquet", f"trace.path={tmp_path / 'steady.parquet'}", "model=const",
        "cluster.devices.gpu.profile.device=dev", "predictor=constant_given", "policy.overhead.decision_seconds=0",
        "policy.overhead.rank_seconds=0", *folders,
    ]  # fmt: skip


def rate(*overrides: str) -> float:
    return float(at_load(composed(*overrides), overrides).trace.rate)


def test_the_capacity_is_that_of_full_batches(steady: list[str]) -> None:
    each = STEP * ANSWER  # s of a batch
    assert rate(*steady, "load=1") == pytest.approx(32 / each, rel=1e-5)
    assert rate(*steady, "load=0.5", "policy.batching.batch_size=8") == pytest.approx(0.5 * 8 / each, rel=1e-5)
    assert rate(*steady, "load=1", "cluster.devices.gpu.count=3") == pytest.approx(3 * 32 / each, rel=1e-5)
    assert rate(*steady, "load=1", "policy.batching.batch_size=700") == pytest.approx(700 / each, rel=1e-5)


def test_continuous_batching_has_the_capacity_of_its_seats(steady: list[str]) -> None:
    seats = ("policy/batching=continuous", "policy.batching.max_num_seqs=16")
    assert rate(*steady, "load=1", *seats) == pytest.approx(16 / (STEP * ANSWER), rel=1e-5)
    many = ("policy/batching=continuous", "policy.batching.max_num_seqs=256", "cluster.devices.gpu.count=8")
    unbounded = ("policy.batching.max_num_batched_tokens=null", "cluster.devices.gpu.kv_tokens=10000000")
    assert rate(*steady, "load=1", *many, *unbounded) == pytest.approx(8 * 256 / (STEP * ANSWER), rel=1e-5)


def test_requests_that_can_never_be_served_come_along_and_take_no_time(steady: list[str], tmp_path: Path) -> None:
    prompts = np.where(np.arange(64) % 2, 9000, 100)
    table = {"arrival": np.arange(64.0), "prompt_tokens": prompts, "output_tokens": ANSWER, "max_tokens": ANSWER}
    write(pd.DataFrame(table), tmp_path / "half.parquet", {"source": "made"})
    half = [*steady[:1], f"trace.path={tmp_path / 'half.parquet'}", *steady[2:]]
    assert rate(*half, "load=1") == pytest.approx(2 * rate(*steady, "load=1"), rel=1e-5)


def test_every_policy_meets_the_same_rate_unless_its_batching_was_chosen(steady: list[str]) -> None:
    systems = ("system=fifo", "system=sjf_oracle", "policy=up_consolidation", "policy=muf")
    overrides = [setting for setting in steady if not setting.startswith("predictor=")]
    keep = ["trace.training_share=0.2", "predictor=prompt_length"]
    before = _capacity.cache_info().misses
    rates = {
        rate(*overrides, *(keep[:1] if system.startswith("system") else keep), system, "load=0.9") for system in systems
    }
    assert len(rates) == 1
    assert _capacity.cache_info().misses == before + 1  # measured once, whatever else each system is calibrated with
    static = "load_of='system=fifo policy/batching=static'"
    continuous = [*steady, "policy/batching=continuous", "policy.batching.max_num_seqs=16"]
    assert rate(*continuous, "load=1", static) == pytest.approx(32 / (STEP * ANSWER), rel=1e-5)


@pytest.mark.parametrize(
    "named",
    [
        "${calibration.mine}",
        "${calibration.several[1]}",
        "${calibration.${calibration.name}}",
        "${oc.select:calibration.mine,9}",
    ],
)
def test_whatever_a_system_names_of_the_calibration_counts(steady: list[str], named: str) -> None:
    given = ["+calibration.mine=8", "+calibration.several=[7,8]", "+calibration.name=mine"]
    each = [*steady, *given, f"policy.batching.batch_size='{named}'", "load=1"]
    assert rate(*each) == pytest.approx(8 / (STEP * ANSWER), rel=1e-5)


def test_the_capacity_may_be_that_of_a_trace_without_what_a_run_adds(steady: list[str]) -> None:
    short, long = (
        rate("trace=poisson", "trace.requests=200", *steady[2:], "load=1", f"trace.lengths.output.median={median}", *of)
        for median, of in ((20, ()), (80, ("load_of='system=fifo trace.lengths.output.median=20'",)))
    )
    assert short == long


def test_a_run_says_its_rate_its_capacity_and_whose_that_is(steady: list[str]) -> None:
    cfg = at_load(composed(*steady, "load=0.5"), [*steady, "load=0.5"])
    assert described(cfg) == {"rate": cfg.trace.rate, "capacity": 2 * cfg.trace.rate, "of": "system=fifo"}


def test_load_sets_the_rate_and_the_rate_changes_nothing_of_the_training_rows() -> None:
    made = ("trace=dialogue", "trace.training_requests=200", "trace.requests=200")
    half, whole = (at_load(composed(*made, f"load={load}")) for load in (0.5, 1.0))
    assert whole.trace.rate == pytest.approx(2 * half.trace.rate, rel=1e-5)
    untouched = composed(*made, "load=0.5")
    at_load(untouched)
    assert untouched.trace.rate == composed(*made).trace.rate
    pd.testing.assert_frame_equal(read_inputs(half).training.table, read_inputs(whole).training.table)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["load=0"], "load must be a positive multiple of the capacity, got 0"),
        (["load=much"], "load must be a positive multiple of the capacity, got much"),
        (["trace=paired", "load=1"], "load=1 needs a trace with a rate"),
        (["load=1", "load_of=fifo"], "load_of='fifo' is no choice of a system"),
        (["load=1", "load_of='system=fifo seed=3'"], "seed=3 is no choice of a system"),
        (["load=1", "load_of='system=fifo cluster.devices.gpu.count=8'"], "count=8 is no choice of a system"),
        (["load=1", "load_of='system=none'"], "load_of='system=none' names no system"),
    ],
)
def test_a_load_that_cannot_be_set_is_refused(overrides: list[str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        at_load(composed(*overrides))


def test_what_a_policy_names_of_the_calibration_is_found_through_its_links() -> None:
    assert wanted(composed("policy=fifo")) == ["batch_size"]
    assert sorted(wanted(composed("policy=rtlm"))) == ["batch_size", "eta", "phi", "tau"]
    assert "calibration" not in composed("policy=fifo", "policy/batching=continuous")
    for spelled in ("${calibration.tau}", "${calibration[tau]}", "${...calibration.tau}"):
        assert "tau" in wanted(composed("policy=offload", f"policy.routing.threshold='{spelled}'"))


def test_only_what_is_fitted_needs_training_rows() -> None:
    assert fitted(composed("policy=fifo", "predictor=oracle")) == []
    assert fitted(composed("policy=fifo", "predictor=rules")) == ["predictor"]
    assert fitted(composed("policy=fifo", "predictor=oracle", "calibration.batch_size=null")) == [
        "calibration.batch_size"
    ]
    fixed = ("calibration.phi=0.1", "calibration.eta=0.1")
    assert fitted(composed("policy=sjf", "predictor=oracle", *fixed)) == []


def test_a_file_keeps_rows_back_only_where_something_is_fitted(steady: list[str], monkeypatch) -> None:
    alone = read_inputs(at_load(composed(*steady)))
    assert alone.training is None
    assert len(alone.replay) == 64
    learned = read_inputs(at_load(composed(*steady, "predictor=prompt_length")))
    assert (len(learned.training.table), len(learned.replay)) == (12, 52)
    asked = read_inputs(at_load(composed(*steady, "trace.training_share=0.5")))
    assert (asked.training, len(asked.replay)) == (None, 32)
    monkeypatch.setenv(KEEP, "1")  # a sweep, of which another run fits something
    assert len(read_inputs(at_load(composed(*steady))).replay) == 52


def test_shares_of_sources_within_sources_are_set_too() -> None:
    cfg = composed("trace=transformed", "trace@trace.source=azure_2023_conv")
    cfg.trace.source.training_share = None
    assert keeping_rows(cfg, keep=True).trace.source.training_share == SHARE
    assert keeping_rows(cfg, keep=False).trace.source.training_share == 0.0
    assert cfg.trace.source.training_share is None
