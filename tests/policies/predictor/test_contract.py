"""Every predictor that has a yaml is built from it, keeps the contract, and says the same whoever asks, and when."""

import functools
import math

import hydra
import pandas as pd
import pytest

from experiments.run.parts import build_predictor
from policies.contract import check_policy
from policies.order.srpt import SRPT
from sim import Cluster, Request
from sim.policy import Predictor
from tests.conftest import ROOT, make_device, make_policy
from traces.requests import to_requests
from traces.synthetic.dialogue import SyntheticDialogue

CONF = ROOT / "experiments" / "conf"
PREDICTORS = sorted(path.stem for path in (CONF / "predictor").glob("*.yaml"))
TIGHT = Cluster((make_device(kv_tokens=160, max_model_len=160),))  # ten blocks
SOURCE = SyntheticDialogue(rate=30.0, requests=1, median_tokens=15.0, max_tokens=60, training_requests=300)


@functools.cache
def training() -> pd.DataFrame:
    """Rows with text, rule scores, clients, a task, and other answers to the same prompt."""
    samples = [[1 + row % 7, 2 + row % 50] for row in range(300)]
    return SOURCE.training().assign(client=[f"client {row % 3}" for row in range(300)], task="chat", samples=samples)


@functools.cache
def workload() -> list[Request]:
    """Some of them, that come faster than they are served."""
    return to_requests(training().head(30).assign(arrival=[row / 30 for row in range(30)]))


def build(name: str, *overrides: str) -> Predictor:
    """The predictor of a yaml, fitted where it is one that is fitted."""
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = hydra.compose("config", overrides=[f"predictor={name}", *overrides])
    return build_predictor(cfg.predictor, training())


built = functools.cache(build)


@pytest.mark.parametrize("name", PREDICTORS)
def test_a_predictor_keeps_the_contract_under_preemption(name):
    table = check_policy(make_policy(order=SRPT()), TIGHT, built(name), workload()).requests
    assert set(table["status"].tolist()) == {"finished"}
    assert table["preemptions"].sum() > 0


@pytest.mark.parametrize("name", PREDICTORS)
def test_a_prediction_is_a_length_in_tokens_and_does_not_depend_on_who_was_asked_before(name):
    predictor = built(name)
    said = {request.id: predictor.predict(request) for request in workload()}
    for request in reversed(workload()):
        prediction = predictor.predict(request)
        assert prediction == said[request.id]
        assert 1 <= prediction.length < math.inf
        assert 0 <= prediction.seconds < 1
        if prediction.distribution is not None:
            assert prediction.distribution.quantile(0.5) < 10 * prediction.length


@pytest.mark.parametrize(
    "name", [name for name in PREDICTORS if "${seed}" in (CONF / f"predictor/{name}.yaml").read_text()]
)
def test_an_error_model_follows_the_seed_of_the_run(name):
    def lengths(seed: int) -> list[float]:
        predictor = build(name, f"seed={seed}")
        return [predictor.predict(request).length for request in workload()]

    assert lengths(0) != lengths(1)
    assert lengths(1) == lengths(1)
