"""The weights that ship: each loads, predicts and says where it comes from; none holds a prompt; they are small."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from policies.predictor import weights
from policies.predictor.kernel_ridge import Landmarks
from policies.predictor.tfidf import Terms
from sim import Request, Truth
from tests.conftest import ROOT

FILES = sorted(weights.SHIPPED.rglob("*.npz"))
LARGEST = 6e6  # bytes of all files together
SHORT, LONG = "What is 2 + 2? Answer in one word.", "Write a detailed essay about the history of Rome, step by step."


def named(path: Path) -> str:
    return str(path.relative_to(weights.SHIPPED))


def parts(value: Any) -> Iterator[Any]:
    """`value`, if it is a dataclass, and all that it is made of."""
    yield value
    for name in getattr(type(value), "__dataclass_fields__", ()):
        yield from parts(getattr(value, name))


def test_three_models_have_two_predictors_each_in_six_megabytes() -> None:
    models = ("llama-3.1-8b", "mistral-7b", "qwen2.5-7b")
    assert [named(path) for path in FILES] == [f"{model}/{name}.npz" for model in models for name in ("gbm", "tfidf")]
    assert sum(path.stat().st_size for path in FILES) < LARGEST
    assert "data/*/*.npz" in (ROOT / "setup.cfg").read_text()


@pytest.mark.parametrize("path", FILES, ids=named)
def test_it_predicts_that_an_essay_is_longer_than_a_word(path: Path) -> None:
    predictor = weights.load(named(path))
    short, long = (
        predictor.predict(Request(0, 0.0, len(text.split()) + 5, Truth(1), prompt_text=text)) for text in (SHORT, LONG)
    )
    assert 1 <= short.length < long.length <= 2000
    assert short.distribution is not None
    assert 0 < short.seconds < 1


@pytest.mark.parametrize("path", FILES, ids=named)
def test_it_says_where_it_comes_from(path: Path) -> None:
    found = weights.provenance(named(path))
    assert found["predictor"] == path.stem
    assert path.parent.name.split("-")[0] in found["model"].lower()
    assert {kind: len(source["sha256"]) for kind, source in found["data"].items()} == {"prompts": 64, "lengths": 64}
    assert "Apache-2.0" in found["licence"]
    assert len(found["training_keys"]) <= found["training_prompts"]
    assert found["held_out"]["prompts"] > 1000
    tau = found["held_out"]["tau"]
    assert 0.3 < tau["low"] < tau["value"] < tau["high"] < found["held_out"]["tau"]["value"] + 0.1
    assert found["settings"]["_target_"].startswith(("policies.predictor.", weights.FORMER))
    assert "/" not in found["command"], "no path of the machine"


@pytest.mark.parametrize("path", FILES, ids=named)
def test_it_holds_words_and_embeddings_and_no_prompt(path: Path) -> None:
    held = list(parts(weights.load(named(path))))
    (terms,) = (part for part in held if isinstance(part, Terms))
    assert max(term.count(" ") for term in terms.columns) == 1, "words and pairs of words"
    texts = [part for part in held if isinstance(part, str)]
    assert not texts
    for landmarks in (part for part in held if isinstance(part, Landmarks)):
        assert landmarks.rows.dtype == "int8", "inputs, in coarse steps"
