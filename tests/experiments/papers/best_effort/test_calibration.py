"""What the greedy router knows of the models' steps."""

import pandas as pd
import pytest

from experiments.papers.best_effort import calibration
from experiments.run.inputs import Training
from experiments.run.parts import Fitted
from sim import Cluster, HostTime
from tests.conftest import LinearProfile, make_device

KNOWN = Fitted(None, Training(pd.DataFrame({"prompt_tokens": [50, 150], "output_tokens": [40, 60]})))


def test_a_step_is_a_line_over_its_jobs_with_their_share_of_prompts():
    profile = LinearProfile(fixed=0.01, per_token=1e-4, per_context=1e-6)
    devices = (
        make_device("a", model="x", profile=profile),
        make_device("b", model="y", profile=profile, host_time=HostTime(9.0)),
        make_device("c", model="z", profile=profile, kv_tokens=1000),
    )
    found = calibration.steps(Cluster(devices), KNOWN)
    assert calibration.answer(Cluster(devices), KNOWN) == 50
    context, prompts = 100 + 50 / 2, 100 / 50  # of a job; tokens of prompts for each job in a step
    assert found["x"] == pytest.approx([0.01, 1e-4 * (1 + prompts) + 1e-6 * context], rel=1e-3)
    assert found["y"] == pytest.approx([9.0, 0.0])  # the host's
    assert found["z"] == pytest.approx(found["x"], rel=0.02)  # from steps of up to eight jobs
