"""A small seeded grammar of English prompts: plain ones, and ones with RT-LM's six kinds of uncertainty."""

from __future__ import annotations

import re

import numpy as np

VOCABULARY = {
    slot: tuple(words.split())
    for slot, words in {
        "name": """Alice Bruno Carla Dmitri Elena Farid Greta Hassan Ines Jonas Keiko Lars Mira Nadia Oscar Paula
            Quentin Rosa Samir Tilda Umar Vera Wanda Xavier Yusuf Zoe""",
        "person": """sister brother cousin teacher neighbour doctor boss friend uncle aunt grandmother colleague
            landlord tenant nurse plumber lawyer tailor baker gardener""",
        "animal": """cats dogs horses rabbits parrots dolphins owls wolves foxes turtles hamsters goats cows sheep bees
            whales penguins squirrels lizards camels""",
        "thing": """bicycle guitar camera laptop kettle lamp sofa mirror carpet umbrella suitcase backpack telescope
            violin wallet blanket jacket sweater puzzle candle basket ladder bottle teapot freezer""",
        "place": """museum library station hospital bakery cinema theatre stadium harbour castle market airport
            restaurant cathedral embassy hotel pharmacy zoo aquarium gallery""",
        "city": """Lisbon Oslo Nairobi Lima Kyoto Vienna Montreal Hanoi Tunis Bogota Dublin Prague Athens Helsinki
            Warsaw Cairo Seoul Quito Sofia Riga""",
        "day": "yesterday today Monday Tuesday Wednesday Thursday Friday Saturday Sunday tomorrow",
        "food": """pasta rice soup salad bread cheese pancakes curry noodles lentils mushrooms omelette sushi tacos
            dumplings porridge""",
        "colour": "red blue green yellow purple orange white black brown grey pink silver",
        "number": "two three four five six seven eight nine ten eleven twelve twenty thirty forty",
        "topic": """art music medicine astronomy philosophy economics religion architecture mathematics chemistry
            journalism agriculture fashion theatre psychology democracy cinema poetry geology linguistics""",
        "problem": """poverty inflation unemployment pollution deforestation migration inequality loneliness obesity
            homelessness corruption illiteracy drought insomnia addiction burnout""",
        "quality": """cost weight height safety comfort behaviour appearance reliability speed noise maintenance
            durability availability popularity texture flavour""",
        "scene": """park garden kitchen forest street valley meadow tunnel courtyard hallway cellar attic""",
        "noun_verb": """flies ducks bears watches plants storms waves saws seals ships stones marches judges duck bear
            saw ship fish paint dust""",
        "many_senses": """bats banks cranes bolts moles nails organs palms pitches pupils keys chips springs trunks
            tanks terminals shells stamps scales pools decks straws""",
        "vague_noun": "stuff things something everything anything whatever",
        "amount": "some many several various",
    }.items()
}

PLAIN = (
    "My {person} bought a {colour} {thing} {day}.",
    "Is the {place} closed {day}?",
    "{name} ate {number} {colour} apples {day}.",
    "Did {name} sell the {colour} {thing}?",
    "Please translate {number} into Spanish.",
    "The {place} opened {number} hours ago.",
    "{name} has {number} {animal}.",
    "Was {name} your {person}?",
    "My {person} lost the {thing} {day}.",
    "Do {animal} eat {food}?",
)

SENTENCES = {
    "structural": (
        "{name} saw a {person} in the {scene} with a {thing}.",
        "My {person} noticed the {animal} from the {place} with a {thing}.",
        "{name} hit the {person} of a baker with the {thing} by the {place}.",
        "We found the {thing} of my {person} in the {scene} at the {place}.",
    ),
    "syntactic": (
        "Fruit {noun_verb} like {food}.",
        "Their {noun_verb} {noun_verb} the {scene}.",
        "{name} made her {noun_verb}.",
        "Old {noun_verb} {noun_verb} {animal}.",
    ),
    "semantic": (
        "Did {name} dislike the {many_senses}?",
        "My {person} bought {number} {many_senses} {day}.",
        "Are these {many_senses} {colour}?",
        "Where does {name} keep the {many_senses}?",
    ),
    "vague": (
        "Tell me about the history of {topic}.",
        "{name} mentioned {vague_noun} {topic} related.",
        "I need {amount} general {vague_noun} concerning {topic}.",
        "My {person} is kind of into {topic} {vague_noun}.",
    ),
    "open_ended": (
        "Why does {problem} still exist?",
        "What do you think of {topic}?",
        "Explain {topic} please.",
        "What are the consequences of {problem}?",
        "How would {city} be without {problem}?",
        "Describe {city} before {topic}.",
    ),
    "multi_part": (
        "Do {animal} and {animal} differ by {quality}, {quality}, and {quality}?",
        "Which {thing} has the better {quality}, {quality} and {quality}?",
        "Is {city} nice? Is {city} cheaper? Should {name} go?",
        "What is the {quality}, the {quality} and the {quality} compared with a {thing}?",
    ),
}

_SLOT = re.compile(r"\{(\w+)\}")


def sentence(templates: tuple[str, ...], texts: np.random.Generator) -> str:
    """One of `templates` with its slots filled; a slot named twice gets two different words."""
    used: set[str] = set()

    def fill(slot: re.Match[str]) -> str:
        words = VOCABULARY[slot.group(1)]
        word = words[texts.integers(len(words))]
        while word in used:
            word = words[texts.integers(len(words))]
        used.add(word)
        return word

    return _SLOT.sub(fill, templates[texts.integers(len(templates))])


def prompt(kinds: tuple[str, ...], texts: np.random.Generator) -> str:
    """A prompt with one sentence of each of `kinds`; half of them, and those without a kind, begin with a plain one."""
    parts = [sentence(SENTENCES[kind], texts) for kind in kinds]
    if not parts or texts.random() < 0.5:
        parts.insert(0, sentence(PLAIN, texts))
    return " ".join(parts)
