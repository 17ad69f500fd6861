"""ALISE's execution-time model is fitted to what the profile says."""

from __future__ import annotations

import pandas as pd
import pytest

from experiments.papers.alise import calibration
from experiments.run.inputs import Training
from experiments.run.parts import Fitted
from policies.predictor.oracle import OraclePredictor
from sim import Cluster
from tests.conftest import LinearProfile, make_device


def known(*prompts: int) -> Fitted:
    return Fitted(OraclePredictor(), Training(pd.DataFrame({"prompt_tokens": prompts, "output_tokens": 5})))


def test_a_linear_device_is_fitted_exactly() -> None:
    gpu = Cluster((make_device(profile=LinearProfile(fixed=0.0, per_token=1e-3, per_context=1e-5)),))
    prompts = known(10, 20, 30, 200)
    assert calibration.alpha(gpu, prompts) == pytest.approx(1e-5)
    assert calibration.beta(gpu, prompts) == pytest.approx(1e-3)
    flat = Cluster((make_device(profile=LinearProfile(fixed=0.0, per_token=1e-3)),))
    assert calibration.t0(flat, prompts) == pytest.approx(1e-3)
    assert calibration.alpha(flat, prompts) == pytest.approx(0.0, abs=1e-12)


def test_the_line_through_nothing_takes_what_is_fixed_into_account() -> None:
    """Of prompts of 10 tokens alone 0.01 s and 10 * 0.001 s are 0.002 s a token, and no slope can be told."""
    gpu = Cluster((make_device(profile=LinearProfile(fixed=0.01, per_token=1e-3, per_context=1e-5)),))
    assert calibration.t0(gpu, known(10, 10)) == pytest.approx(0.002)
    assert calibration.alpha(gpu, known(10, 10)) == 0.0
    assert calibration.beta(gpu, known(10, 10)) == pytest.approx(0.011 + 10e-5)
