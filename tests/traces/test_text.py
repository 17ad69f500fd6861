"""The rules of word lists: each finds the example of its kind, and a plain sentence scores nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from traces.kinds import KINDS
from traces.text.word_rules import rule_scores

EXAMPLES = {
    "structural": "John saw a boy in the park with a telescope",
    "syntactic": "Rice flies like sand",
    "semantic": "What's the best way to deal with bats?",
    "vague": "Tell me about the history of art.",
    "open_ended": "What are the causes and consequences of poverty in developing countries?",
    "multi_part": "How do cats and dogs differ in behavior, diet, and social interaction?",
}


@pytest.mark.parametrize("kind", KINDS)
def test_an_example_scores_on_its_own_kind(kind: str) -> None:
    assert rule_scores(EXAMPLES[kind])[KINDS.index(kind)] > 0


@pytest.mark.parametrize(
    "sentence", ["", "My sister bought a bicycle yesterday.", "Is the museum closed today?", "Hello, how are you?"]
)
def test_a_plain_sentence_scores_nothing(sentence: str) -> None:
    assert rule_scores(sentence) == (0,) * 6


@pytest.mark.parametrize(
    ("text", "kind", "score"),
    [
        ("In the morning we met.", "structural", 0),
        ("They deal with bears.", "structural", 0),
        ("They met a man from Rome by the door.", "structural", 2),
        ("How many legs has a spider?", "open_ended", 0),
        ("How much is it, and why?", "open_ended", 1),
        ("Somethings", "vague", 0),
        ("It was red, green and blue.", "multi_part", 0),
        ("Is it red, green, or blue?", "multi_part", 2),
        ("Really??? No way?", "multi_part", 1),
        ("Well, did she?", "multi_part", 0),
        ("What\u2019s the best way to go?", "open_ended", 1),
    ],
)
def test_what_a_rule_counts(text: str, kind: str, score: float) -> None:
    assert rule_scores(text)[KINDS.index(kind)] == score


@given(st.text(max_size=200))
def test_any_text_has_six_finite_scores_whatever_its_case(text: str) -> None:
    scores = rule_scores(text)
    assert len(scores) == len(KINDS)
    assert all(0 <= score <= len(text) + 1 for score in scores)
    assert rule_scores(text.lower()) == scores
