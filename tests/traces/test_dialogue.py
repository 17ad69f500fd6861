"""Synthetic dialogue gives what it states: rate, kinds, effects, lengths, and prompts that training never shares."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from traces.kinds import KINDS
from traces.synthetic.arrivals import poisson
from traces.synthetic.dialogue import EFFECTS, MIX, SyntheticDialogue
from traces.synthetic.grammar import PLAIN, SENTENCES, sentence
from traces.text.word_rules import rule_scores


def replay(seed: int = 0, **options: Any) -> pd.DataFrame:
    chosen = SyntheticDialogue(**{"rate": 2.0, "requests": 500, **options})
    return chosen.replay(np.random.default_rng(seed), np.random.default_rng(seed + 1000))


def test_arrivals_are_poisson_at_the_rate() -> None:
    gaps = np.diff(poisson(4.0, 20_001, np.random.default_rng(1)))
    assert stats.kstest(gaps, "expon", args=(0, 1 / 4)).pvalue > 0.01
    assert 1 / gaps.mean() == pytest.approx(4.0, rel=3.3 / np.sqrt(len(gaps)))


@pytest.mark.parametrize(("rate", "requests"), [(0, 1), (-1, 1), (np.nan, 1), (np.inf, 1), (1, 0)])
def test_an_impossible_arrival_process_is_refused(rate: float, requests: int) -> None:
    with pytest.raises(ValueError, match="got"):
        poisson(rate, requests, np.random.default_rng(0))


def test_lengths_are_lognormal_with_the_stated_effects() -> None:
    table = replay(requests=6000, max_tokens=10**6, kinds_per_prompt=(0.4, 0.6))
    logs = np.log(table["output_tokens"])
    for kind, effect in {"plain": 1.0, **EFFECTS}.items():
        found = logs[table["task"] == kind]
        margin = 4 * 0.5 / np.sqrt(len(found)) + 0.02  # the last for rounding up
        assert found.mean() == pytest.approx(np.log(40 * effect), abs=margin)
        assert found.std() == pytest.approx(0.5, rel=0.15)
    both = replay(requests=2000, kinds_per_prompt=(0, 0, 1), sigma=0)
    products = both["task"].map(lambda task: np.ceil(40 * np.prod([EFFECTS[kind] for kind in task.split("+")])))
    assert both["output_tokens"].tolist() == products.tolist()


def test_the_number_of_kinds_and_their_mix_are_as_stated() -> None:
    table = replay(requests=6000, kinds_per_prompt=(0.3, 0.7), mix={**MIX, "vague": 5.0})
    shares = table["task"].value_counts(normalize=True)
    assert shares["plain"] == pytest.approx(0.3, abs=0.03)
    assert shares["vague"] == pytest.approx(0.7 / 2, abs=0.03)
    assert shares["structural"] == pytest.approx(0.7 / 10, abs=0.02)


def test_the_cap_holds_and_its_cuts_are_counted() -> None:
    free, capped = replay(max_tokens=10**6), replay(max_tokens=60)
    assert capped["output_tokens"].max() == 60
    assert (capped["max_tokens"] == 60).all()
    assert capped.attrs["cut"] == (free["output_tokens"] > 60).sum() > 0
    assert "synthetic" in SyntheticDialogue(1.0, 1).provenance


def test_prompt_tokens_follow_the_stated_rule() -> None:
    table = replay(tokens_per_word=2.0, template_tokens=7)
    assert (table["prompt_tokens"] == 7 + 2 * table["prompt_text"].str.split().str.len()).all()


def test_prompts_are_many_and_never_shared_with_training() -> None:
    chosen = SyntheticDialogue(rate=2.0, requests=5000)
    table = chosen.replay(np.random.default_rng(0), np.random.default_rng(1))
    training = chosen.training()
    assert len(training) == 2000
    assert table["prompt_text"].nunique() > 4000
    assert not set(table["prompt_text"]) & set(training["prompt_text"])
    assert training.equals(chosen.training())


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32), sigma=st.floats(0, 2))
def test_equal_seeds_give_equal_tables_and_texts_do_not_depend_on_lengths(seed: int, sigma: float) -> None:
    table = replay(seed, requests=20, sigma=sigma)
    assert table.equals(replay(seed, requests=20, sigma=sigma))
    other = replay(seed, requests=20, effects=dict.fromkeys(KINDS, 1.0), rate=7.0)
    assert table["prompt_text"].equals(other["prompt_text"])
    assert (table["arrival"] * 2).to_numpy() == pytest.approx((other["arrival"] * 7).to_numpy())


def test_a_table_does_not_depend_on_the_hash_seed() -> None:
    code = (
        "import numpy as np; from traces.synthetic.dialogue import SyntheticDialogue as S;"
        "print(S(1.0, 50).replay(np.random.default_rng(0), np.random.default_rng(1)).to_csv())"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1


@pytest.mark.parametrize("template", PLAIN)
def test_a_plain_sentence_of_the_grammar_scores_nothing(template: str) -> None:
    texts = np.random.default_rng(3)
    for _ in range(100):
        assert rule_scores(sentence((template,), texts)) == (0,) * 6


@pytest.mark.parametrize("kind", KINDS)
def test_a_sentence_of_a_kind_scores_on_it(kind: str) -> None:
    texts = np.random.default_rng(3)
    for _ in range(200):
        text = sentence(SENTENCES[kind], texts)
        assert rule_scores(text)[KINDS.index(kind)] > 0, text


def test_scores_in_the_table_are_those_of_its_texts() -> None:
    table = replay(requests=50)
    assert [tuple(row) for row in table[list(KINDS)].to_numpy()] == [rule_scores(text) for text in table["prompt_text"]]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"rate": 0}, "rate must be positive, got 0"),
        ({"requests": 0}, "requests must be positive, got 0"),
        ({"sigma": -1}, "sigma.* got -1"),
        ({"mix": {"vague": 1.0}}, "mix must have a value for each"),
        ({"effects": {**EFFECTS, "vague": 0}}, "effects must be positive"),
        ({"kinds_per_prompt": (0.5, 0.4)}, r"sum to 1, got \(0.5, 0.4\)"),
        ({"kinds_per_prompt": ()}, "kinds_per_prompt"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        replay(**options)
