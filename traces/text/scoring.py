"""Score prompts on RT-LM's six kinds of uncertainty: on a parse, or, by name alone, with word lists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from traces.kinds import KINDS
from traces.text import word_rules
from traces.text.parser import parse
from traces.text.rules import RULES

if TYPE_CHECKING:
    from spacy.tokens import Doc

SCORERS = ("parser", "words")


def triggers(doc: Doc) -> dict[str, list[str]]:
    """Kind -> the words of `doc` that its rule counts."""
    return {kind: rule(doc) for kind, rule in zip(KINDS, RULES, strict=True)}


def score_texts(texts: Sequence[str], scorer: str = "parser", progress: bool = False) -> np.ndarray:
    """The scores r_1..r_6 of each of `texts` (texts, 6), in the order of `KINDS`; ValueError for another scorer."""
    if scorer == "parser":
        rows: list[Sequence[float]] = [[len(rule(doc)) for rule in RULES] for doc in parse(texts, progress)]
    elif scorer == "words":
        rows = [word_rules.rule_scores(text) for text in tqdm(texts, desc="words", disable=not progress)]
    else:
        raise ValueError(f"scorer must be one of {', '.join(SCORERS)}, got {scorer!r}")
    return np.array(rows, dtype=float).reshape(-1, len(KINDS))


def rule_scores(text: str) -> tuple[float, ...]:
    """The scores r_1..r_6 of one `text`, on its parse."""
    return tuple(score_texts([text])[0].tolist())
