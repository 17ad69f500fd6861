"""Score a prompt on the six kinds of uncertainty of RT-LM (arXiv 2309.06619), with word lists alone.

The paper's own rules are not public; these follow its six kinds [A]. This is a first scorer, without dependencies: it
knows a few hundred words and no grammar. A later version reads a real parser's part-of-speech tags, attachments and
word senses behind the same `rule_scores`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from traces.text.words import AMBIGUOUS, CLOSED_CUES, HOMOGRAPHS, INTERJECTIONS, OPEN_CUES, PREPOSITIONS, VAGUE, VERBS

_WORD = re.compile(r"[a-z]+|'[a-z]+")
_QUESTION = re.compile(r"[^.!?]*\?+")
_COORDINATION = re.compile(r"[,;]\s*and\b|[,;]|\band\b")


def _phrases(phrases: Iterable[str]) -> re.Pattern[str]:
    """Matches any of `phrases` as whole words, the longest first."""
    longest_first = sorted(phrases, key=lambda phrase: (-len(phrase), phrase))
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, longest_first))})\b")


_VAGUE = _phrases(VAGUE)
_OPEN = _phrases(OPEN_CUES)
_CLOSED = _phrases(CLOSED_CUES)
_INTERJECTION = re.compile(rf"^\s*(?:(?:{'|'.join(sorted(INTERJECTIONS))})\b[\s,]*)+")


def words(text: str) -> list[str]:
    """The words of `text` in lower case; a contraction is two (`what`, `'s`)."""
    return _WORD.findall(_normal(text))


def structural(text: str) -> float:
    """Prepositions after the first verb, each of which may attach to a noun or to the verb.

    Meant to catch "John saw a boy in the park with a telescope". A preposition right behind a verb belongs to it.
    """
    tokens = words(text)
    first_verb = next((at for at, token in enumerate(tokens) if token in VERBS), len(tokens))
    after = range(first_verb + 1, len(tokens))
    return float(sum(tokens[at] in PREPOSITIONS and tokens[at - 1] not in VERBS for at in after))


def syntactic(text: str) -> float:
    """Words that are a noun or a verb, as in "Rice flies like sand"."""
    return float(sum(token in HOMOGRAPHS for token in words(text)))


def semantic(text: str) -> float:
    """Words with unrelated senses, as in "What's the best way to deal with bats?"."""
    return float(sum(token in AMBIGUOUS for token in words(text)))


def vague(text: str) -> float:
    """Words and phrases that leave open what is meant, as in "Tell me about the history of art."."""
    return float(len(_VAGUE.findall(_normal(text))))


def open_ended(text: str) -> float:
    """Cues of a question with no single answer, as in "What are the causes and consequences of poverty?".

    A "how" that asks for one fact ("how many") or greets ("how are you") is no cue.
    """
    return float(len(_OPEN.findall(_CLOSED.sub(" ", _normal(text)))))


def multi_part(text: str) -> float:
    """Coordinated parts inside questions, and each question after the first.

    Meant to catch "How do cats and dogs differ in behavior, diet, and social interaction?". The comma in "Well, did
    she?" parts nothing.
    """
    questions = [_INTERJECTION.sub("", question) for question in _QUESTION.findall(_normal(text))]
    parts = sum(len(_COORDINATION.findall(question)) for question in questions)
    return float(parts + max(0, len(questions) - 1))


RULES = (structural, syntactic, semantic, vague, open_ended, multi_part)


def rule_scores(text: str) -> tuple[float, float, float, float, float, float]:
    """The scores r_1..r_6 of `text`, in the order of `KINDS`; each counts from 0 and grows with the length."""
    first, second, third, fourth, fifth, sixth = (rule(text) for rule in RULES)
    return first, second, third, fourth, fifth, sixth


def _normal(text: str) -> str:
    return text.lower().replace("\u2019", "'")
