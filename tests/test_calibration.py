"""RT-LM's offline profiling: constants are what profiles say, and load= is a multiple of what the GPUs can serve."""

from __future__ import annotations

import pandas as pd
import pytest
from conftest import ROOT, LinearProfile, make_device
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from experiments.build import at_load, read_inputs
from experiments.calibration import BATCH_SIZES, best_batch_size, calibrate, capacity
from sim import Cluster

ROWS = pd.DataFrame({"prompt_tokens": [10] * 64, "output_tokens": [5] * 64, "max_tokens": 9})
FLAT = LinearProfile(fixed=0.01, per_token=0.0)
STEPS = 5  # a prefill, which gives the first token, and four decode steps


def settings(**fixed: float) -> DictConfig:
    return OmegaConf.create({"malicious_quantile": 0.5, "batch_size": None, **fixed})


def test_a_device_whose_steps_cost_the_same_full_or_empty_wants_the_largest_batch() -> None:
    gpu = make_device(profile=FLAT)
    assert best_batch_size(settings(), gpu, ROWS) == max(BATCH_SIZES)
    assert best_batch_size(settings(batch_size=8), gpu, ROWS) == 8


def test_a_device_that_pays_for_each_token_gains_nothing_by_a_batch() -> None:
    gpu = make_device(profile=LinearProfile(fixed=0.0, per_token=0.001))
    uneven = ROWS.assign(output_tokens=[1, 9] * 32)  # the short of a pair is padded
    assert best_batch_size(settings(), gpu, uneven) == 1


def test_the_capacity_is_that_of_full_batches_on_every_gpu() -> None:
    one, two = make_device(profile=FLAT), make_device("gpu1", profile=FLAT)
    assert capacity(settings(), Cluster((one,)), ROWS) == pytest.approx(32 / (STEPS * 0.01))
    cpu = make_device("cpu", "cpu", profile=FLAT)
    assert capacity(settings(), Cluster((one, two, cpu)), ROWS) == pytest.approx(2 * 32 / (STEPS * 0.01))


def test_the_constants_are_what_the_profiles_say() -> None:
    gpu = make_device(profile=LinearProfile(fixed=0.01, per_token=1e-4))
    slower = make_device("cpu", "cpu", profile=LinearProfile(fixed=0.04, per_token=4e-4))
    found = calibrate(settings(), Cluster((gpu, slower)), ROWS, [1.0, 2.0, 9.0])
    assert found["phi"] == pytest.approx(1e-4)
    assert found["eta"] == pytest.approx(0.0101)
    assert found["kappa"] == pytest.approx(4.0)
    assert found["tau"] == 2.0
    assert "kappa" not in calibrate(settings(), Cluster((gpu,)), ROWS, [1.0])
    assert calibrate(settings(tau=7.5), Cluster((gpu,)), ROWS, [1.0])["tau"] == 7.5


def composed(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(ROOT / "experiments" / "conf"), version_base="1.3"):
        return compose("config", overrides=["trace=dialogue", "trace.training_requests=200", *overrides])


def test_load_sets_the_rate_and_the_rate_changes_nothing_of_the_training_rows() -> None:
    half, whole = (at_load(composed(f"load={load}")) for load in (0.5, 1.0))
    assert whole.trace.rate == pytest.approx(2 * half.trace.rate, rel=1e-5)
    pd.testing.assert_frame_equal(read_inputs(half).training, read_inputs(whole).training)
    untouched = composed()
    assert at_load(untouched) is untouched


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["load=0"], "load must be a positive multiple"),
        (["trace=paired", "load=1"], "needs a trace with a rate"),
    ],
)
def test_a_load_that_cannot_be_set_is_refused(overrides: list[str], said: str) -> None:
    with initialize_config_dir(str(ROOT / "experiments" / "conf"), version_base="1.3"):
        cfg = compose("config", overrides=overrides)
    with pytest.raises(ValueError, match=said):
        at_load(cfg)
