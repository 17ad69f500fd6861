"""Words that the rules of `traces.text.rules` look for, by their lemmas; all [A], written for this project."""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# vague
INDEFINITE = _words("something someone somebody somewhere somehow anything everything whatever whoever wherever")
VAGUE_NOUNS = _words("thing stuff")
QUANTIFIERS = _words("some many several various few certain numerous")
HEDGES = _words("maybe perhaps probably somewhat sometimes often usually generally recently roughly mostly basically")
TOPICS = _words("history overview background basics world concept idea")  # asked "of" something: all of it
TELLING = _words("tell talk hear know learn write speak teach chat")  # "about" something: what of it?
# What stands before "kind of" or "sort of" where they name a class, and hedge nothing.
CLASSIFIERS = _words("what which this that these those any every each another same different new a the")

# open-ended
EXPLAINING = _words(
    "explain describe discuss elaborate compare contrast analyze analyse evaluate argue outline explore imagine suggest"
)
THINKING = _words("think believe feel recommend suggest say")
OPEN_NOUNS = _words("""
    cause effect consequence implication reason benefit challenge advantage disadvantage difference similarity purpose
    meaning point role impact importance significance way opinion thought view advice pro con drawback risk
""")
HAPPENING = _words("make happen cause lead drive motivate inspire")
WRITING = _words("write create compose draft generate invent produce tell make")
WRITINGS = _words("""
    story essay poem song letter speech article blog post script review report paragraph summary tale dialogue novel
    lyric email plan recipe
""")

AUXILIARIES = _words("do does did can could would should will might")  # after a "how" that asks for a manner

# multi-part: verbs that take a second one by "and" without a second thing being asked ("go and see")
SERIAL = _words("go come try wait stop be")
