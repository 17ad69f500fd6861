"""Error models that are stated by their concordance with the true lengths, and classes of what they say."""

import numpy as np
import pytest
from scipy.stats import kendalltau

from policies.predictor.buckets import Buckets, fit_buckets
from policies.predictor.concordant import fit_concordant
from policies.predictor.oracle import OraclePredictor
from sim import Request, Truth


def answers(seed, count=4000):
    """Lengths of two kinds of answers: short ones, and long ones."""
    rng = np.random.default_rng(seed)
    logs = np.where(rng.random(count) < 0.3, rng.normal(2, 0.5, count), rng.normal(5.5, 0.7, count))
    lengths = np.maximum(np.exp(logs).astype(int), 1).tolist()
    return [Request(number, 0.0, 1, Truth(length)) for number, length in enumerate(lengths)], lengths


def fitted(fit=fit_concordant, **settings):
    requests, lengths = answers(seed=0)
    return fit(requests, [[length] for length in lengths], **{"seed": 3, "seconds": 0.25, **settings})


@pytest.mark.parametrize("tau", [0.18, 0.52, 0.64, 0.9, 1.0])
def test_predictions_of_other_answers_of_the_kind_are_as_concordant_as_was_stated(tau):
    requests, lengths = answers(seed=1)
    predictor = fitted(tau=tau)
    said = [predictor.predict(request).length for request in requests]
    assert kendalltau(said, lengths).statistic == pytest.approx(tau, abs=0.02)
    assert predictor.predict(requests[0]).seconds == 0.25


@pytest.mark.parametrize("tau", [0.0, -0.5, 1.1])
def test_a_tau_that_cannot_be_is_refused(tau):
    with pytest.raises(ValueError, match=f"tau must be above 0 and at most 1, got {tau}"):
        fitted(tau=tau)


def test_a_class_is_named_by_its_middle():
    classes = Buckets(OraclePredictor(), 100)
    said = [classes.predict(Request(0, 0.0, 1, Truth(length))).length for length in (1, 99, 100, 250)]
    assert said == [50.0, 50.0, 150.0, 250.0]
    with pytest.raises(ValueError, match="bucket must be at least 1 token, got 0"):
        Buckets(OraclePredictor(), 0)


def test_the_classes_of_what_a_concordant_predictor_says():
    one, other, (requests, _) = fitted(tau=0.6), fitted(fit_buckets, tau=0.6, bucket=820), answers(seed=1)
    for request in requests[:50]:
        length = one.predict(request).length
        assert other.predict(request).length == (length // 820 + 0.5) * 820
        assert other.predict(request).seconds == 0.25
