"""Word lists behind the rules of `traces.text.word_rules`; written for this project, all in lower case."""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


PREPOSITIONS = _words("in on with at by from of for")

_REGULAR_VERBS = """
    ask answer call call cause change clean close compare cook cover create dance deal decide describe discuss drop
    enjoy explain fill finish follow happen hate help hope imagine improve invite join jump kick kill laugh learn like
    listen live look love manage match move need notice open order own pack paint pass pick plan plant play point pull
    push reach receive remember repair rest save search serve share shout show sign smile spot start stay stop study
    suggest talk tie touch train travel try turn use visit wait walk want wash watch wear wish wonder work worry
"""

_IRREGULAR_VERBS = """
    am is are was were be been being has have had having do does did doing done can could will would shall should may
    might must become became begin began bite bit break broke bring brought build built buy bought catch caught choose
    chose come came cost cut draw drew drink drank drive drove eat ate fall fell feed fed feel felt fight fought find
    found fly flew forget forgot get got give gave go went gone grow grew hear heard hide hid hit hold held keep kept
    know knew lay leave left lend lent let lose lost make made mean meant meet met pay paid put read ride rode ring rang
    rise rose run ran say said see saw seen sell sold send sent set shoot shot sing sang sit sat sleep slept speak spoke
    spend spent stand stood steal stole swim swam take took teach taught tell told think thought throw threw understand
    understood wake woke wear wore win won write wrote wrote 's 're 'm 've 'll 'd don didn doesn isn aren wasn
"""


def _inflected(verb: str) -> tuple[str, ...]:
    if verb.endswith("e"):
        return verb, verb + "s", verb + "d", verb[:-1] + "ing"
    if verb.endswith("y") and verb[-2] not in "aeiou":
        return verb, verb[:-1] + "ies", verb[:-1] + "ied", verb + "ing"
    if verb.endswith(("ch", "sh", "ss")):
        return verb, verb + "es", verb + "ed", verb + "ing"
    return verb, verb + "s", verb + "ed", verb + verb[-1] + "ed", verb + "ing", verb + verb[-1] + "ing"


VERBS = _words(_IRREGULAR_VERBS) | {form for verb in _REGULAR_VERBS.split() for form in _inflected(verb)}

# Words that are a noun in one sentence and a verb in the next.
HOMOGRAPHS = _words("""
    attack attacks bear bears bend bends bite bites block blocks board boards book books bowl bowls box boxes brush
    brushes burn burns call calls change changes chase chases claim claims cook cooks cover covers crash
    crashes cross crosses cry cries cut cuts dance dances delay delays desert deserts dream dreams dress dresses
    drink drinks drive drives drop drops duck ducks dust face faces fall falls fight fights file files fire fires fish
    flies flood floods flower flowers fly fool fools frame frames garden gardens guard guards hammer hammers hand
    hands head heads hit hits hope hopes houses hunt hunts iron jam judge judges jump jumps kick kicks kiss kisses
    lead leads leaves light lights like likes limit limits march marches mark marks match matches milk mine mines
    object objects paint paints park parks permit permits pick picks pilot pilots plan plans plant plants play plays
    point points present presents promise promises race races rain rains record records refuse rest rock rocks roll
    rolls rose row rows run runs sail sails sand saw saws seal seals shape shapes ship ships shop shops sign signs
    sink sinks sleep smell smells smoke smokes sound sounds spot spots spring springs squash stand stands star stars
    steal steps stick sticks stone stones store stores storm storms strike strikes study studies swallow swallows
    swing swings taste tastes tear tears tie ties time times tip tips tire tires toast train trains trap traps trip
    trips trust turn turns walk walks wash waste watch watches water waters wave waves wind winds wish wishes wound
    wounds
""")

# Words with senses that have nothing to do with one another.
AMBIGUOUS = _words("""
    appendix appendices arm arms bank banks bar bars bark barks bass bat bats battery batteries bolt bolts bow bows
    bug bugs bulb bulbs cell cells chip chips club clubs coach coaches column columns conductor conductors crane
    cranes current currents date dates deck decks diamond diamonds draft drafts drill drills fan fans file files
    gum gums jaguar jaguars kernel kernels key keys lock locks log logs mercury mint mints mole moles mouse mice nail
    nails needle needles net nets note notes nut nuts organ organs palm palms pen pens pitch pitches plane planes
    plate plates pool pools port ports pound pounds press pupil pupils python pythons racket rackets ring rings root
    roots ruler rulers scale scales school schools screen screens second seconds shell shells speaker speakers spring
    springs staff stamp stamps straw straws suit suits table tables tank tanks temple temples terminal terminals tick
    ticks toast trunk trunks vault vaults virus viruses wave waves well wells yard yards
""")

VAGUE = (
    "tell me about", "tell me more", "talk about", "history of", "kind of", "sort of", "a lot", "lots of", "a bit",
    "a little", "and so on", "or so", "or whatever", "something", "someone", "somewhere", "anything", "everything",
    "stuff", "thing", "things", "whatever", "some", "many", "several", "various", "general", "generally", "maybe",
    "probably", "somehow", "somewhat", "sometimes", "often", "usually", "recently", "roughly",
)  # fmt: skip

OPEN_CUES = (
    "why", "how", "explain", "describe", "discuss", "elaborate", "what do you think", "what are your thoughts",
    "what do you believe", "what would happen", "what makes", "what does it mean", "what is the meaning",
    "best way to", "the point of", "tell me a story", "write a story", "your opinion", "give me advice",
    "what are the causes", "what are the effects", "what are the consequences", "what are the implications",
    "what are the reasons", "what are the benefits", "what are the challenges",
)  # fmt: skip

# A "how" that asks for one fact, or only greets.
CLOSED_CUES = (
    "how many", "how much", "how old", "how long", "how far", "how tall", "how big", "how often", "how late",
    "how are you", "how is it going", "how's it going", "how about", "how do you do", "how was your day",
)  # fmt: skip

# Words that open a sentence without being a part of what is asked.
INTERJECTIONS = _words(
    "ah and but haha hello hey hi hmm lol no nope oh ok okay please really so thanks well wow yeah yes"
)
