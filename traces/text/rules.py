"""The six rules of RT-LM (arXiv 2309.06619) on a parse; each returns the words that it counts, its score their number.

The paper names six kinds of uncertainty and how they lengthen answers; how its own rules score them is not public, so
every definition here is ours [A].
"""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import TYPE_CHECKING

from traces.text import cues
from traces.text.senses import by_file, senses, uses

if TYPE_CHECKING:
    from spacy.tokens import Doc, Span, Token

LEAST_SHARE = 0.15  # [A] of a word's uses that its rarer part of speech must have for the word to be either
HOMONYM_SHARE = 0.25  # [A] of a noun's uses that must mean other kinds of thing than its commonest
THING_SHARE = 0.5  # [A] of a noun's uses that must mean things; "way" and "deal" are everything and nothing
# WordNet's files of nouns for things [A], those together that one word often means (a lamb and its meat, glass).
KINDS_OF_THING = {
    "noun.animal": "living", "noun.plant": "living", "noun.food": "living", "noun.artifact": "made",
    "noun.substance": "made", "noun.object": "land", "noun.body": "body",
    "noun.person": "person", "noun.group": "group", "noun.possession": "money", "noun.time": "time",
}  # fmt: skip
SETTLING_BEFORE = {"DET", "ADJ", "NUM", "ADP", "VERB", "AUX", "PART"}  # "the walk", "took walks", "can walk", "to walk"
SETTLING_AFTER = {"DET", "NUM", "PRON"}  # "walk the dog"


def structural(doc: Doc) -> list[str]:
    """Prepositions whose phrase could hang on two words or more: "John saw a boy in the park with a telescope".

    The words it could hang on are those that end before it on the way from the word to its left up the tree, nouns and
    the first verb. An "of" belongs to the noun before it, and a pronoun, a date or a form of "be" takes no phrase.
    """
    phrases = (token for token in doc if token.dep_ == "prep" and token.is_alpha and token.lower_ != "of")
    return [token.text for token in phrases if len(_heads(token)) > 1]


def _heads(preposition: Token) -> list[Token]:
    """The words that the phrase of `preposition` could hang on."""
    at = preposition.i - 1
    while at > preposition.sent.start and preposition.doc[at].is_punct:
        at -= 1
    found: list[Token] = []
    if at < preposition.sent.start:
        return found
    word = preposition.doc[at]
    while word.i < preposition.i:
        if word.pos_ == "VERB":
            return [*found, word]
        if word.pos_ in ("NOUN", "PROPN") and word.dep_ not in ("npadvmod", "compound", "poss"):
            found.append(word)
        if word.head == word or word.head.pos_ == "AUX":
            break
        word = word.head
    return found


def syntactic(doc: Doc) -> list[str]:
    """Words that are a noun in one reading and a verb in another, as "flies" in "Rice flies like sand".

    Both readings must be in use (`LEAST_SHARE`), and no word beside it must settle which it is, as in "the walk", "to
    walk", "we walk" and "walk the dog".
    """
    return [
        token.text
        for token in doc
        if token.tag_ in ("NN", "NNS", "VB", "VBP", "VBZ") and _either(token.lemma_) and not _settled(token)
    ]


@cache
def _either(lemma: str) -> bool:
    noun, verb = (uses(lemma, part) + senses(lemma, part) for part in ("noun", "verb"))
    return min(noun, verb) >= LEAST_SHARE * (noun + verb) > 0


def _settled(token: Token) -> bool:
    after = token.i + 1 < len(token.doc) and token.nbor(1).pos_ in SETTLING_AFTER
    if after or token.is_sent_start or token.i == 0:
        return after
    before = token.nbor(-1)
    if before.pos_ == "PRON":  # "her duck" is a bird or what she did
        return before.lower_ != "her"
    return before.pos_ in SETTLING_BEFORE or (token.dep_ == "conj" and before.pos_ in ("CCONJ", "PUNCT"))


def semantic(doc: Doc) -> list[str]:
    """Nouns that mean things with nothing in common, as "bats" in "What's the best way to deal with bats?".

    A count of senses alone would find nearly every common word; here the senses must lie in several of
    `KINDS_OF_THING`, the less common ones with a fair share (`HOMONYM_SHARE`) of the uses.
    """
    return [token.text for token in doc if token.pos_ == "NOUN" and _homonym(token.lemma_)]


@cache
def _homonym(lemma: str) -> bool:
    kinds: Counter[str] = Counter()
    for file, (count, used) in by_file(lemma).items():
        if file.startswith("noun."):
            kinds[KINDS_OF_THING.get(file, "")] += count + used
    total = kinds.total()
    things = total - kinds.pop("", 0)
    return things - max(kinds.values(), default=0) >= HOMONYM_SHARE * things > 0 and things >= THING_SHARE * total


def vague(doc: Doc) -> list[str]:
    """Words that leave open what or how much is meant, as in "Tell me about the history of art.".

    Their part in the sentence counts: "stuff" as a noun, "general" before a noun, "kind of" as a hedge, "about" after
    "tell" in a question or a request; the "many" of "how many" asks, and does not blur.
    """
    asked = {token.i for sentence in asks(doc) for token in sentence}
    return [token.text for token in doc if _blurs(token, token.i in asked)]


def _blurs(token: Token, asked: bool) -> bool:
    before = token.nbor(-1).lower_ if token.i else ""
    after = token.nbor(1).lower_ if token.i + 1 < len(token.doc) else ""
    word, lemma = token.lower_, token.lemma_
    if word in cues.INDEFINITE or (lemma in cues.VAGUE_NOUNS and token.pos_ == "NOUN"):
        return True
    if word in cues.QUANTIFIERS | cues.HEDGES:
        return before not in ("how", "as", "so", "too") and not (word == "certain" and token.dep_ == "acomp")
    if word == "general":
        return token.pos_ == "ADJ" or before == "in"
    if word in ("kind", "sort"):
        return after == "of" and before not in cues.CLASSIFIERS
    if word in ("lot", "bit", "lots"):
        return (word == "lots" or before == "a") and not any(part.lemma_ == "thank" for part in token.ancestors)
    if word == "about":
        return asked and token.dep_ == "prep" and token.head.lemma_ in cues.TELLING
    return asked and lemma in cues.TOPICS and token.pos_ == "NOUN" and after == "of"


def open_ended(doc: Doc) -> list[str]:
    """Questions and requests with no single answer: "What are the causes and consequences of poverty?".

    Why, how something is done or comes about, what one thinks, what causes there are, explain, write a story. "How
    many", "how are you" and "this is why" ask nothing of the sort.
    """
    return [token.text for sentence in asks(doc) for token in sentence if _opens(token)]


def _opens(token: Token) -> bool:
    word, lemma, head = token.lower_, token.lemma_, token.head
    after = token.nbor(1).lower_ if token.i + 1 < len(token.doc) else ""
    if word == "why":
        return after != "not"
    if word == "how":
        asks_manner = head.pos_ == "VERB" or (head.lemma_ != "be" and after in cues.AUXILIARIES)
        return asks_manner and after not in ("about", "come") and not _greets(head)
    if word == "what":
        return after == "if" or (token.dep_ == "nsubj" and head.lemma_ in cues.HAPPENING)
    if token.tag_ == "VB" and token.pos_ == "VERB" and _addressed(token):
        objects = {part.lemma_ for part in token.children if part.dep_ == "dobj"}
        asked_what = any(part.lower_ == "what" for part in token.children)
        return (
            lemma in cues.EXPLAINING
            or (lemma in cues.THINKING and asked_what)
            or (lemma in cues.WRITING and bool(objects & cues.WRITINGS))
        )
    if token.pos_ == "NOUN" and lemma in cues.OPEN_NOUNS:
        places = [token, *([head] if head.lemma_ == "be" else [])]
        return any(part.lower_ == "what" for place in places for part in place.children)
    return False


def _greets(verb: Token) -> bool:
    """Whether `verb` is that of "how do you do", "how is it going", "how are you doing"."""
    return verb.lemma_ in ("do", "go") and not any(part.dep_ == "dobj" for part in verb.children)


def _addressed(verb: Token) -> bool:
    """Whether `verb` is asked of the reader: its subject is "you", or it has none."""
    return all(part.lower_ == "you" for part in verb.children if part.dep_ == "nsubj")


def multi_part(doc: Doc) -> list[str]:
    """What a question or a request coordinates, and each further question or request.

    "How do cats and dogs differ in behavior, diet, and social interaction?" has dogs, diet and interaction. "Again and
    again" and "go and see" are one.
    """
    found = asks(doc)
    parts = [
        token.text
        for sentence in found
        for token in sentence
        if token.dep_ == "conj" and token.lemma_ != token.head.lemma_ and token.head.lemma_ not in cues.SERIAL
    ]
    return parts + [sentence.root.text for sentence in found[1:]]


def asks(doc: Doc) -> list[Span]:
    """The sentences that are questions or requests; chat often has no question mark."""
    return [sentence for sentence in doc.sents if _is_question(sentence) or _is_request(sentence)]


def _is_question(sentence: Span) -> bool:
    words = [token for token in sentence if token.pos_ not in ("PUNCT", "SPACE", "INTJ", "CCONJ", "SYM")]
    marks = [token for token in sentence if token.is_punct or token.is_space]
    if not any(token.is_alpha for token in sentence):
        return False
    if any("?" in token.text for token in marks[-3:]):
        return True
    if not words or "!" in sentence[-1].text:
        return False
    first, root = words[0], sentence.root
    if first.tag_ in ("WP", "WRB", "WDT", "WP$"):
        return first.head == root or (first.head.head == root and first.head.pos_ in ("NOUN", "ADJ", "ADV"))
    subject = next((part for part in root.children if part.dep_ in ("nsubj", "nsubjpass", "expl")), None)
    return first.pos_ == "AUX" and root in (first, first.head) and subject is not None and first.i < subject.i


def _is_request(sentence: Span) -> bool:
    root = sentence.root
    if root.tag_ != "VB" or root.pos_ != "VERB":
        return False
    return not any(part.dep_ in ("nsubj", "nsubjpass", "expl") or part.tag_ in ("MD", "TO") for part in root.children)


RULES = (structural, syntactic, semantic, vague, open_ended, multi_part)
