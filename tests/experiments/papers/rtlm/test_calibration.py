"""RT-LM's offline profiling: its constants are what profiles say."""

from __future__ import annotations

import pandas as pd
import pytest

from experiments.papers.rtlm import calibration
from experiments.papers.rtlm.calibration import BATCH_SIZES
from experiments.run.inputs import Training
from experiments.run.parts import Fitted
from sim import Cluster, Prediction, Request
from tests.conftest import LinearProfile, make_device

ROWS = pd.DataFrame({"arrival": 0.0, "prompt_tokens": [10] * 64, "output_tokens": [5] * 64, "max_tokens": 9})
FLAT = LinearProfile(fixed=0.01, per_token=0.0)


class OneTwoNine:
    """A predictor whose scores are 1, 2 and 9 tokens in turn."""

    def predict(self, request: Request) -> Prediction:
        return Prediction(length=1.0, uncertainty=(1.0, 2.0, 9.0)[request.id % 3])


def known(rows: pd.DataFrame = ROWS) -> Fitted:
    return Fitted(OneTwoNine(), Training(rows))


def test_a_device_whose_steps_cost_the_same_full_or_empty_wants_the_largest_batch() -> None:
    assert calibration.batch_size(Cluster((make_device(profile=FLAT),)), known()) == max(BATCH_SIZES)


def test_a_device_that_pays_for_each_token_gains_nothing_by_a_batch() -> None:
    gpu = make_device(profile=LinearProfile(fixed=0.0, per_token=0.001))
    uneven = ROWS.assign(output_tokens=[1, 9] * 32)  # the short of a pair is padded
    assert calibration.batch_size(Cluster((gpu,)), known(uneven)) == 1


def test_the_constants_are_what_the_profiles_say() -> None:
    gpu = make_device(profile=LinearProfile(fixed=0.01, per_token=1e-4))
    slower = make_device("cpu", "cpu", profile=LinearProfile(fixed=0.04, per_token=4e-4))
    both = Cluster((gpu, slower))
    assert calibration.phi(both, known()) == pytest.approx(1e-4)
    assert calibration.eta(both, known()) == pytest.approx(0.0101)
    assert calibration.kappa(both, known()) == pytest.approx(4.0)
    assert calibration.tau(both, known(ROWS.head(63)), quantile=0.5) == 2.0
    assert calibration.kappa(Cluster((gpu,)), known()) is None
