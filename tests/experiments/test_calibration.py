"""RT-LM's offline profiling: its constants are what profiles say."""

from __future__ import annotations

import pandas as pd
import pytest
from omegaconf import DictConfig, OmegaConf

from experiments.papers.rtlm.calibration import BATCH_SIZES, best_batch_size, calibrate
from experiments.run.training import CONSTANTS
from sim import Cluster
from tests.conftest import LinearProfile, make_device

ROWS = pd.DataFrame({"prompt_tokens": [10] * 64, "output_tokens": [5] * 64, "max_tokens": 9})
FLAT = LinearProfile(fixed=0.01, per_token=0.0)


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


def test_the_constants_are_what_the_profiles_say() -> None:
    gpu = make_device(profile=LinearProfile(fixed=0.01, per_token=1e-4))
    slower = make_device("cpu", "cpu", profile=LinearProfile(fixed=0.04, per_token=4e-4))
    found = calibrate(settings(), CONSTANTS, Cluster((gpu, slower)), ROWS, [1.0, 2.0, 9.0])
    assert found["phi"] == pytest.approx(1e-4)
    assert found["eta"] == pytest.approx(0.0101)
    assert found["kappa"] == pytest.approx(4.0)
    assert found["tau"] == 2.0
    assert "kappa" not in calibrate(settings(), CONSTANTS, Cluster((gpu,)), ROWS, [1.0])
    assert calibrate(settings(tau=7.5), CONSTANTS, Cluster((gpu,)), ROWS, [1.0])["tau"] == 7.5
