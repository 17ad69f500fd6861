"""RT-LM's ladder, and the predictors that know no prompt: constant, history. What they say is as sure as they say."""

import functools
import math

import numpy as np
import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf
from scipy.stats import pearsonr

from policies.predictor.constant import constant, fit_constant
from policies.predictor.heads import Training
from policies.predictor.history import fit_history
from policies.predictor.lw import fit_lw
from policies.predictor.single_rule import fit_single_rule
from policies.predictor.tfidf import vectorizer
from sim import Request, Truth
from tests.conftest import ROOT

pytest.importorskip("torch")
LADDER = ("prompt_length", "single_rule", "weighted_rules", "rules", "lw")


@functools.cache
def data(seed, count=600):
    """Lengths that follow the rules, one rule most, the prompt's length, and a product of two rules; with noise."""
    rng = np.random.default_rng(seed)
    prompts, features = rng.integers(5, 500, count), rng.integers(0, 4, (count, 6)).astype(float)
    logs = 3 + features @ [0.1, 0.3, 0.1, 0.1, 0.2, 0.0] + 0.15 * np.log(prompts)
    logs = logs + 0.3 * np.abs(features[:, 0] - features[:, 4]) + rng.normal(0, 0.4, count)
    requests = [
        Request(number, 0.0, int(prompt), Truth(1), features=tuple(row), client=str(number % 50))
        for number, (prompt, row) in enumerate(zip(prompts, features.tolist(), strict=True))
    ]
    return requests, [[max(1, round(length))] for length in np.exp(logs).tolist()]


@functools.cache
def fitted(name):
    """The predictor of a yaml, fitted."""
    return instantiate(OmegaConf.load(ROOT / f"experiments/conf/predictor/{name}.yaml"), _convert_="all")(*data(0))


def correlation(name):
    requests, answers = data(1)
    predictor = fitted(name)
    lengths = [predictor.predict(request).length for request in requests]
    return pearsonr(np.log(lengths), np.log(np.ravel(answers))).statistic


def test_each_rung_of_the_ladder_knows_more_where_more_is_to_be_known():
    rungs = [correlation(name) for name in LADDER]
    assert rungs == sorted(rungs)
    assert rungs[-1] > rungs[-2] + 0.03  # what depends on two rules together is beyond any weighted sum


@pytest.mark.parametrize("name", [*LADDER, "constant", "history"])
def test_the_predicted_interval_covers_new_answers_as_often_as_it_says(name):
    requests, answers = data(1)
    told = [fitted(name).predict(request) for request in requests]
    inside = [
        prediction.distribution.quantile(0.05) <= answer <= prediction.distribution.quantile(0.95)
        for prediction, (answer,) in zip(told, answers, strict=True)
    ]
    sampling = math.sqrt(0.9 * 0.1 * 2 / len(answers))  # of these answers and of those it was learned from
    assert np.mean(inside) == pytest.approx(0.9, abs=4 * sampling)
    ratio = np.mean([prediction.distribution.mean / prediction.length for prediction in told])
    assert ratio == pytest.approx(1.0, abs=0.03)


def test_the_single_rule_is_the_one_that_goes_best_with_the_lengths():
    assert fitted("single_rule").columns.rules == (1,)
    assert fit_single_rule(*data(0), rules=[5], seconds=0.0).columns.rules == (5,)
    assert fit_single_rule(*data(0), rules=[5, 4], seconds=0.0).columns.rules == (4,)


def test_a_rule_that_never_varies_is_not_the_best():
    requests = [Request(n, 0.0, 9, Truth(1), features=(7.0, float(n % 3))) for n in range(60)]
    answers = [[1 + 10 * (n % 3)] for n in range(60)]
    assert fit_single_rule(requests, answers, rules=[0, 1], seconds=0.0).columns.rules == (1,)


def test_a_rule_of_larger_scores_is_no_better_for_that():
    lengths = [10 * (1 + n % 3) for n in range(60)]
    requests = [Request(n, 0.0, 9, Truth(1), features=(50.0 * (n % 3) + 100.0 * (n % 2), n % 3)) for n in range(60)]
    assert fit_single_rule(requests, [[one] for one in lengths], rules=[0, 1], seconds=0.0).columns.rules == (1,)


def test_weighted_rules_do_not_see_the_prompts_length():
    short, long = (Request(0, 0.0, prompt, Truth(1), features=(1.0,) * 6) for prompt in (1, 4000))
    assert fitted("weighted_rules").predict(short) == fitted("weighted_rules").predict(long)
    assert fitted("rules").predict(short).length < fitted("rules").predict(long).length


def test_equal_data_give_an_equal_network():
    requests, answers = data(0)
    training = Training(hidden=[8, 4], learning_rate=1e-3, weight_decay=0.0, epochs=2, batch=32, seed=0)
    fit = functools.partial(fit_lw, rules=range(6), training=training, seconds=0.0)
    one, other = fit(requests[:100], answers[:100]), fit(requests[:100], answers[:100])
    assert [one.predict(request) for request in requests] == [other.predict(request) for request in requests]
    assert [weights.shape for weights, _ in one.network.layers] == [(7, 8), (8, 4), (4, 1)]
    with pytest.raises(ValueError, match="LW needs 20 training requests or more, got 19"):
        fit(requests[:19], answers[:19])


def test_a_constant_is_the_mean_of_all_answers_or_what_is_given():
    requests = data(0)[0][:2]
    predictor = fit_constant(requests, [[10, 20], [60]])
    assert predictor.predict(requests[0]).length == pytest.approx(30)
    assert predictor.predict(requests[0]).distribution.quantile(0.5) == pytest.approx(20)
    told = constant(128.0).predict(requests[0])
    assert (told.length, told.distribution.mean, told.distribution.quantile(0.9)) == (128.0, 128.0, 128.0)
    with pytest.raises(ValueError, match="lengths must be finite, not negative"):
        constant(-1.0)


def of(client=None, task=None):
    return Request(0, 0.0, 1, Truth(1), client=client, task=task)


def history(**changes):
    requests = [of("ann", "chat"), of("ann", "code"), of("bob", "code"), of(None, "code")]
    settings = {"keys": ["client", "task"], "shrinkage": 0.0, "seconds": 0.001}
    return fit_history(requests, [[10], [20, 30], [100], [40]], **{**settings, **changes})


def test_history_is_the_clients_own_else_the_tasks_else_everyones():
    assert history().predict(of("ann", "code")).length == pytest.approx(20)
    assert history().predict(of("eve", "code")).length == pytest.approx((20 + 30 + 100 + 40) / 4)
    assert history().predict(of()).length == pytest.approx(40)
    assert history(keys=["task"]).predict(of("ann", "code")).length == pytest.approx(47.5)
    assert history().predict(of("ann")).distribution.quantile(0.5) == pytest.approx(20)
    assert history().predict(of("ann")).seconds == 0.001


def test_a_history_of_little_is_drawn_to_everyones():
    told = history(shrinkage=3.0).predict(of("bob"))
    assert told.length == pytest.approx(100 / 4 + 40 * 3 / 4)
    assert told.distribution.quantile(0.5) == pytest.approx(100 / 4 + 30 * 3 / 4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"keys": ["prompt"]}, r"keys must be some of client, task, session, got \['prompt'\]"),
        ({"keys": []}, "keys must be some of"),
        ({"shrinkage": -1.0}, "shrinkage must not be negative, got -1.0 answers"),
    ],
)
def test_a_history_that_makes_no_sense_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        history(**changes)


def test_a_bag_of_words_holds_words_and_pairs_that_two_texts_have():
    assert vectorizer(50).fit(["a big cat", "a big dog"]).get_feature_names_out().tolist() == ["a", "a big", "big"]
