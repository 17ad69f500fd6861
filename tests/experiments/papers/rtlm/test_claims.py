"""What RT-LM claims (arXiv 2309.06619), each with a 95 % interval that excludes the contrary: see docs/papers/rt-lm.md.

Overload (1.2 times what FIFO can serve), BART on a server GPU, paired seeds; where texts foretell lengths far better
(rank correlation 0.8) than they do in real pairs (0.27), for the mechanisms need a prediction to work with.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from experiments.prediction.rule_correlations import correlations
from experiments.run.inputs import read_inputs
from experiments.run.load import at_load
from experiments.run.parts import build
from experiments.tables.stats import Interval, change, interval
from sim import simulate
from sim.metrics import summary
from tests.conftest import ROOT
from traces.recorded import SHIPPED, read_recording
from traces.requests import to_requests

pytestmark = pytest.mark.claim
SEEDS = range(10)
SETTING = (
    "experiment=rtlm/ablation", "model=bart-base", "trace.requests=800", "trace.training_requests=1000",
)  # fmt: skip
OWN_PREDICTOR = ("fifo", "sjf_oracle")


@cache
def outcomes(system: str, *more: str) -> pd.DataFrame:
    """The summaries of a run of each seed."""
    predictor = () if system in OWN_PREDICTOR else ("predictor=rules",)
    overrides = (f"system={system}", *predictor, *more)
    with initialize_config_dir(str(ROOT / "experiments" / "conf"), version_base="1.3"):
        cfg = compose("config", overrides=[*SETTING, *overrides])
    found = []
    for seed in SEEDS:
        run = at_load(OmegaConf.merge(cfg, {"seed": seed}), [*SETTING, *overrides])
        inputs = read_inputs(run)
        parts = build(run, inputs.cluster, inputs.training)
        tables = simulate(to_requests(inputs.replay), parts.policy, inputs.cluster, parts.predictor)
        found.append(summary(tables.requests, cfg.warmup))
    return pd.DataFrame(found)


def changed(system: str, reference: str, metric: str, *more: str) -> Interval:
    """By how many percent `system` changes `metric`, over paired seeds."""
    return change(*(outcomes(name, *more)[metric] for name in (system, reference)))


def below(found: Interval, bound: float) -> bool:
    return found.mean + found.half_width < bound


def above(found: Interval, bound: float) -> bool:
    return found.mean - found.half_width > bound


STRONG = "trace.correlation=0.8"


@pytest.mark.parametrize("system", ["up", "consolidation", "up_consolidation", "rtlm"])
def test_each_mechanism_but_offload_lowers_the_mean_response_time_and_raises_throughput(system: str) -> None:
    assert below(changed(system, "fifo", "response_time_mean", STRONG), 0.0)
    assert above(changed(system, "fifo", "throughput_requests", STRONG), 0.0)


def test_the_gain_comes_from_foretelling_the_length() -> None:
    levels = (STRONG, "trace.correlation=0.0")
    ours, theirs = (
        np.column_stack([outcomes(system, level)["response_time_mean"] for level in levels])
        for system in ("rtlm", "fifo")
    )
    assert below(change(ours, theirs, weights=(1, -1)), 0.0)


def test_a_perfect_prediction_gains_more_than_the_learned_one() -> None:
    assert below(changed("sjf_oracle", "up_consolidation", "response_time_mean", "trace.correlation=0.27"), 0.0)


def test_prediction_and_scheduling_are_a_small_part_of_the_response_time() -> None:
    found = outcomes("rtlm", "trace.correlation=0.27")
    assert below(interval(found["predicting_share"] + found["scheduling_share"]), 0.05)


def test_contrary_to_the_claim_offloading_the_most_uncertain_tenth_to_a_cpu_core_costs_more_than_it_gains() -> None:
    tenth = ("trace.correlation=0.27", "calibration.malicious_quantile=0.9")
    assert above(changed("rtlm", "up_consolidation", "response_time_mean", *tenth), 0.0)


def test_structural_uncertainty_lengthens_real_answers() -> None:
    table = read_recording(SHIPPED)
    draws = np.random.default_rng(0).integers(len(table), size=(300, len(table)))
    found = correlations(table["structural"].to_numpy(), table["output_tokens"].to_numpy(dtype=float), draws)
    assert found["spearman"].low > 0
