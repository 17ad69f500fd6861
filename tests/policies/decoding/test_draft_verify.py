"""Draft and verify: what is accepted, and how many tokens that makes a pass."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.decoding.bernoulli import Bernoulli
from policies.decoding.drafted import Drafted
from policies.decoding.greedy_match import GreedyMatch
from policies.decoding.rejection import Rejection
from profiles.constant import constant
from sim import Proposal, Request, Truth

SMALL, LARGE = (constant(seconds, 1 << 20, 4096) for seconds in (0.001, 0.01))


def request(tokens, number=0, proposals=()):
    return Request(number, 0.0, 4, Truth(tokens, proposals=tuple(proposals)))


def agreeing(places):
    """Proposals, of which those with a 1 agree."""
    return [Proposal(0.5, 0.0 if one == "1" else 50.0, one == "1") for one in places]


@pytest.mark.parametrize("lookahead", [1, 4, 8])
@pytest.mark.parametrize("acceptance", [0.3, 0.6, 0.9])
def test_a_pass_emits_as_many_tokens_as_leviathan_expects(acceptance, lookahead):
    decoding = Bernoulli(acceptance, lookahead, SMALL, seed=3)
    emits = np.concatenate([decoding.passes(request(500, number), 1).emits[:-1] for number in range(60)])
    expected = (1 - acceptance ** (lookahead + 1)) / (1 - acceptance)
    assert emits.mean() == pytest.approx(expected, abs=4 * emits.std() / len(emits) ** 0.5)


@pytest.mark.parametrize(("acceptance", "emitted"), [(0.0, [1] * 9), (1.0, [4, 4, 1])])
def test_none_accepted_is_a_token_a_pass_and_all_are_as_many_as_proposed_and_one(acceptance, emitted):
    passes = Bernoulli(acceptance, 3, SMALL, seed=0).passes(request(10), 1)
    assert list(passes.emits) == emitted
    assert list(passes.proposed) == [3] * len(emitted)


@given(
    acceptance=st.floats(0, 1), lookahead=st.integers(1, 6), tokens=st.integers(2, 60), seed=st.integers(0, 99),
    data=st.data(),
)  # fmt: skip
def test_what_is_drawn_belongs_to_the_place(acceptance, lookahead, tokens, seed, data):
    """Begun anew where a pass ended, an answer goes on as it would have."""
    decoding = Bernoulli(acceptance, lookahead, SMALL, seed)
    emits = list(decoding.passes(request(tokens), 1).emits)
    assert sum(emits) == tokens - 1
    begun = data.draw(st.integers(0, len(emits) - 1))
    assert list(decoding.passes(request(tokens), 1 + sum(emits[:begun])).emits) == emits[begun:]


def test_greedy_models_keep_what_both_say():
    """By hand: places 1 and 2 agree, 3 does not; 4 to 6 do, 7 is said unasked, and 8 and 9 are the end."""
    decoding = GreedyMatch(3, SMALL)
    passes = decoding.passes(request(10, proposals=agreeing("0110111111")), 1)
    assert list(passes.emits) == [3, 4, 2]
    assert list(passes.proposed) == [3, 3, 3]


def test_a_sampling_large_model_keeps_a_token_as_often_as_it_is_likely():
    likely = [0.0, 0.2, 0.9, 1.0]
    proposals = [Proposal(0.5, -np.log(max(one, 1e-300)), False) for one in likely] * 500
    kept = Rejection(4, SMALL, seed=1).accepted(request(2000, proposals=proposals)).reshape(-1, 4).mean(axis=0)
    assert kept == pytest.approx(likely, abs=0.06)


@pytest.mark.parametrize("decoding", [GreedyMatch(3, SMALL), Rejection(3, SMALL, 0)])
def test_what_was_not_recorded_is_said(decoding):
    with pytest.raises(ValueError, match="request 7: its trace has no `proposals`"):
        decoding.passes(request(10, 7), 1)


def test_its_passes_are_those_of_two_models():
    assert GreedyMatch(3, SMALL).priced(LARGE) == Drafted(LARGE, SMALL)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ((1.5, 4, SMALL, 0), "acceptance must be a probability, got 1.5"),
        ((0.5, 0, SMALL, 0), "lookahead must be a whole number of tokens from 1 to 1,024, got 0"),
    ],
)
def test_a_setting_that_means_nothing_is_said(settings, said):
    with pytest.raises(ValueError, match=said):
        Bernoulli(*settings)
