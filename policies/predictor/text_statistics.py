"""Numbers that a prompt's text gives away cheaply: its shape, what it asks for, how much of it, whether it is code."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from sim.request import Request


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


MARKS = "?!:;`\"'()[]{}=<>$#*-_/\\.,|%@+^&~"
OPENERS = _words("""
    what who when where why how is are can do does which list write give create generate explain describe name
    classify identify rewrite edit translate convert summarize compare design develop suggest construct compose find
    provide tell make propose analyze calculate determine build come i you please in given read
""")
# What a prompt asks for, or is about: a column each, which counts all of its spellings. Chosen by hand, from English.
CUES = tuple(
    tuple(cue.split("|"))
    for cue in """explain;step by step|step-by-step;detail;essay;story;poem;article;blog;paragraph;email|letter;speech;
    script;dialogue|conversation;list;table;outline;summar;brief;short;concise;one word|single word;sentence;classif;
    identify;rewrite;edit;translat;convert;correct;fill in;choose|select;which of|which is|which are;true or false;
    compar|contrast;differen;pros and cons|advantages;recipe;plan|itinerary|schedule;tips|ways to|ideas;suggest;reasons;
    example;tweet|headline|title|slogan|caption;synonym|antonym|rhyme;haiku|limerick|joke|riddle;code;function;program;
    algorithm;sql;html|css|javascript|react;plot|chart|graph;only;input;output;context;passage|paragraph:|text:;create;
    design|develop|build;describe|description;analy;generate;write;how to|how do|how can|how would;why ;
    what is|what are|what's;who ;when ;best|better;history;business|marketing|product|customer;act as|pretend|roleplay;
    continue|next;random;most;define|definition|meaning;opinion|think;should i|should we;recommend|favorite;
    categor|sort|order;how many|how much|number of;calculate|compute|sum of;evaluate|rate|score;question;problem;
    solution;assert;raise|exception|error;starting with|begin;class ;note:|constraints;import ;return;for example;
    pandas|numpy|scipy|sklearn|matplotlib|torch|tensorflow;test case;stdin|standard input;file|directory|path;
    data|dataset;print;string|integer|array;def ;self;please;your;this;that""".replace("\n    ", "").split(";")
)
NUMBERS = dict(zip(_words("one two three four five six seven eight nine ten eleven twelve"), range(1, 13), strict=True))
NUMBERS |= {"a": 1, "single": 1, "couple": 2, "few": 3, "several": 4, "dozen": 12, "twenty": 20, "hundred": 100}
_AMOUNT = re.compile(rf"\b(\d[\d,]*|{'|'.join(NUMBERS)})(?=[\s-]+([a-z-]+)(?:\s+([a-z-]+))?(?:\s+([a-z-]+))?)")
# How much is asked for: the largest number with one of these among the three words behind it.
ASKED = tuple(
    frozenset(_words(nouns))
    for nouns in (
        "word words",
        "sentence sentences line lines",
        "paragraph paragraphs page pages minute minutes",
        "character characters",
        "ways tips ideas examples things reasons items names steps facts questions points types titles benefits "
        "strategies activities methods features advantages topics options adjectives suggestions different key",
    )
)
STOP = frozenset(_words("the a an of to in and is are for on with that this it as be by from at or i you"))
ENDS = 400  # characters at either end of a long prompt in which amounts are looked for
_WORD, _NUMBER, _SENTENCE = re.compile(r"[a-z']+"), re.compile(r"\b\d{1,9}\b"), re.compile(r"[.!?](?:\s|$)")
_CONTEXT, _ARGUMENTS = re.compile(r"\b(?:input|context|passage|text|paragraph)\s*:"), re.compile(r"def \w+\(([^)]*)\)")


def text_of(request: Request) -> str:
    """The request's prompt; ValueError where the trace carries none."""
    if request.prompt_text is None:
        raise ValueError(
            f"request {request.id} carries no prompt_text, which this predictor reads; a trace without text wants "
            "predictor=prompt_length"
        )
    return request.prompt_text


@lru_cache(maxsize=1 << 14)  # cross-validation meets each text many times
def statistics(text: str) -> NDArray[np.float32]:
    """About 210 numbers of `text`: shares as they are, counts and lengths as log(1 + count)."""
    return np.fromiter(_statistics(text), dtype=np.float32)


def statistics_of(requests: Sequence[Request]) -> NDArray[np.float32]:
    """A row for each request: its text's statistics and the log of its prompt tokens."""
    return np.array(
        [np.append(statistics(text_of(request)), np.float32(math.log(request.prompt_tokens))) for request in requests]
    )


def _statistics(text: str) -> Iterator[float]:
    lower = text.lower()
    words = _WORD.findall(lower)
    yield from map(math.log1p, _shape(text, lower, words))
    yield from _shares(text, words)
    yield from (math.log1p(text.count(mark)) for mark in MARKS)
    first = words[0] if words else ""
    yield from (float(first == opener) for opener in OPENERS)
    yield from (math.log1p(sum(map(lower.count, cue))) for cue in CUES)
    ends = lower if len(lower) <= 2 * ENDS else f"{lower[:ENDS]} | {lower[-ENDS:]}"
    amounts = [(_amount(number), {*behind}) for number, *behind in _AMOUNT.findall(ends)]
    yield from (math.log1p(max((amount for amount, behind in amounts if behind & nouns), default=0)) for nouns in ASKED)


def _shape(text: str, lower: str, words: list[str]) -> tuple[float, ...]:
    """Lengths and counts."""
    lines = [line for line in text.split("\n") if line.strip()] or [""]
    numbers = [int(number) for number in _NUMBER.findall(text)]
    context = _CONTEXT.search(lower)
    instruction = context.start() if context else len(text)
    signature = _ARGUMENTS.search(text)
    return (
        len(text),
        len(words),
        len(set(words)),
        len(lines),
        text.count("\n"),
        max(map(len, lines)),
        len(lines[0]),
        len(lines[-1]),
        len(_SENTENCE.findall(text)),
        len(numbers),
        max(numbers, default=0),
        numbers[0] if numbers else 0,
        instruction,
        len(text) - instruction,
        sum(character.isdigit() for character in text),
        sum(line.lstrip().startswith("#") for line in lines),
        sum(line[0] in " \t" for line in lines if line),
        text.count("```"),
        text.count(">>>"),
        1 + signature[1].count(",") if signature else 0,
        text.count("http"),
    )


def _shares(text: str, words: list[str]) -> tuple[float, ...]:
    """Shares of the characters and of the words, and how the text begins and ends."""
    characters, count = max(1, len(text)), max(1, len(words))
    end = text.rstrip()
    return (
        sum(character.isupper() for character in text) / characters,
        sum(character.isspace() for character in text) / characters,
        sum(not character.isascii() for character in text) / characters,
        sum(map(len, words)) / count / 10,
        len(set(words)) / count,
        sum(word in STOP for word in words) / count,
        float(text[:1].isupper()),
        float(end.endswith("?")),
        float(end.endswith(".")),
        float(end.endswith(":")),
    )


def _amount(written: str) -> float:
    return float(NUMBERS[written]) if written in NUMBERS else float(written.replace(",", ""))
