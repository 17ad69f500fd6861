"""TRAIL's predictor: the bins, the filter, its published errors, and what it does to a schedule."""

import math

import numpy as np
import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from policies.order.srpt import SRPT
from policies.predictor.trail import Trail, transition, update
from policies.predictor.unrefined import Unrefined
from sim import Cluster, Request, Truth, simulate
from tests.conftest import ROOT, make_device, make_policy


def trail(**changes) -> Trail:
    """The predictor of the yaml, with changes."""
    cfg = OmegaConf.load(ROOT / "experiments" / "conf" / "predictor" / "trail.yaml")
    return instantiate(OmegaConf.merge(cfg, {"seed": 0, **changes}))


def answers(lengths, **more):
    return [Request(number, 0.0, 10, Truth(int(length)), **more) for number, length in enumerate(lengths)]


def uniform_lengths(count, low, high):
    return np.random.default_rng(0).integers(low, high, count)


def errors(predictor, requests, emitted):
    """What is said to be left after `emitted` tokens, less what is."""
    return np.array(
        [
            predictor.refine(request, predictor.predict(request), emitted) - (request.truth.output_tokens - emitted)
            for request in requests
        ]
    )


def test_a_token_moves_one_of_the_bins_width_down_and_the_last_bin_keeps_what_it_has():
    moves = transition(bins=10, width=51.2)
    assert moves.sum(axis=1) == pytest.approx(np.ones(10))
    assert np.diag(moves) == pytest.approx([1.0] + [1 - 1 / 51.2] * 9)
    assert np.diag(moves, -1) == pytest.approx([1 / 51.2] * 9)
    assert np.count_nonzero(moves) == 19


def test_the_filter_by_hand():
    """Two bins of four tokens, all of the belief in the upper one: a token later a quarter of it is in the lower."""
    prior = np.array([0.0, 1.0]) @ transition(bins=2, width=4)
    assert prior == pytest.approx([0.25, 0.75])
    assert update(prior, np.array([0.5, 0.5])) == pytest.approx([0.25, 0.75])
    assert update(prior, np.array([0.9, 0.1])) == pytest.approx([0.75, 0.25])


def test_refinement_is_the_filter_run_over_the_observations():
    """With observations that say all: the centre of the bin that holds what is left, less the tokens since."""
    sharp = trail(initial_mae=0.01, refined_mae=0.01, initial_bias=0.0, every=8)
    (request,) = answers([300])
    assert sharp.predict(request).length == pytest.approx(5.5 * 51.2)  # 300 is in the sixth bin
    for emitted in (1, 7):
        assert sharp.refine(request, sharp.predict(request), emitted) == pytest.approx(5.5 * 51.2 - emitted, abs=1e-3)
    assert sharp.refine(request, sharp.predict(request), 50) == pytest.approx(
        4.5 * 51.2 - 2, abs=1e-3
    )  # 252 left at 48


def test_refinement_by_the_passing_of_tokens_alone():
    """With observations that say nothing: two bins of four tokens, even belief, and two tokens later 9 / 32 above."""
    blind = trail(bins=2, longest=8.0, refined_mae=1e6, every=2)
    (request,) = answers([8])
    said = [blind.refine(request, blind.predict(request), emitted) for emitted in (1, 2, 3)]
    assert said == pytest.approx([4 - 1, 2 + 4 * 9 / 32, 2 + 4 * 9 / 32 - 1], abs=1e-4)


def test_the_first_guess_has_the_published_error_and_bias():
    requests = answers(uniform_lengths(4000, 150, 362))  # far from the ends, where the bins can say less
    predictor = trail()
    guesses = np.array([predictor.predict(request).length - request.truth.output_tokens for request in requests])
    assert np.abs(guesses).mean() == pytest.approx(46.07, rel=0.05)
    assert guesses.mean() == pytest.approx(-4.6, abs=4 * guesses.std() / 4000**0.5)


def test_an_observation_has_the_published_error_and_the_filter_lowers_it_as_tokens_come():
    requests = answers(uniform_lengths(800, 200, 360))
    maes = [np.abs(errors(trail(), requests, emitted)).mean() for emitted in (1, 40, 160)]
    assert maes[0] == pytest.approx(33.9, rel=0.1)
    assert maes[0] > 1.3 * maes[1] > 1.3 * maes[2]


def test_errors_that_go_together_are_averaged_away_less():
    requests = answers(uniform_lengths(400, 200, 360))
    apart, together = (np.abs(errors(trail(correlation=one), requests, 160)).mean() for one in (0.0, 1.0))
    assert together > 1.5 * apart


def test_at_least_a_token_is_left_and_never_more_than_the_client_allows():
    (request,) = answers([400], max_tokens=400)
    predictor = trail()
    first = predictor.predict(request)
    assert first.length <= 400
    for emitted in range(1, 400):
        assert 1 <= predictor.refine(request, first, emitted) <= 400 - emitted
    assert trail(longest=51.2).predict(answers([4000])[0]).length <= 51.2  # longer answers count as the longest


def test_refinement_is_pure_and_follows_the_seed():
    requests = answers([300, 300])
    said = [trail().refine(one, trail().predict(one), emitted) for one in requests for emitted in (90, 10, 90)]
    assert said[0] == said[2] != said[1]
    assert said[0] != said[3] == said[5]
    assert trail(seed=1).refine(requests[0], trail().predict(requests[0]), 90) != said[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"refined_mae": 0.0}, "refined_mae must be positive and finite, got 0.0"),
        ({"longest": math.inf}, "longest must be positive and finite, got inf"),
        ({"every": 0}, "every must be positive"),
        ({"correlation": 1.1}, r"correlation must be within \[0, 1\], got 1.1"),
    ],
)
def test_what_makes_no_sense_is_refused(changes, message):
    with pytest.raises(Exception, match=message):
        trail(**changes)


def test_under_memory_pressure_srpt_takes_others_off_when_it_is_told_more():
    rng = np.random.default_rng(1)
    requests = [
        Request(number, number * 0.2, 16, Truth(int(length))) for number, length in enumerate(rng.integers(1, 512, 60))
    ]
    cluster = Cluster((make_device(kv_tokens=1600, max_model_len=600),))

    def run(predictor):
        return simulate(requests, make_policy(order=SRPT()), cluster, predictor).requests

    refined, unrefined = run(trail()), run(Unrefined(trail()))
    assert min(refined["preemptions"].sum(), unrefined["preemptions"].sum()) > 0
    ends = [dict(zip(table["id"].tolist(), table["finished"].tolist(), strict=True)) for table in (refined, unrefined)]
    assert ends[0].keys() == ends[1].keys() == {request.id for request in requests}
    assert sum(ends[0][number] != ends[1][number] for number in ends[0]) > 10


def test_who_learns_nothing_counts_the_first_guess_down():
    first, (request,) = trail(), answers([200])
    unrefined = Unrefined(first)
    guess = first.predict(request)
    assert unrefined.predict(request) == guess
    assert unrefined.refine(request, guess, 30) == max(0.0, guess.length - 30) != first.refine(request, guess, 30)
    assert unrefined.refined_at(30) == math.inf
