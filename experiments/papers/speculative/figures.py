"""Speculation under load, which none of its papers did: by arrival rate, beside plain decoding."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from experiments.figures.drawing import provenance_of
from experiments.figures.stored import Figure, Stored
from experiments.figures.write import written
from experiments.papers.size_based.panels import Curve, Panel, draw, requests_of
from experiments.papers.speculative import load
from experiments.papers.speculative.load import Variant
from experiments.tables.stats import Interval
from policies.decoding.drafted import Drafted
from profiles.profile import load as profile
from sim import PricedProfile, Profile, Step

PLAIN, ACCEPTANCE, LOOKAHEAD = (f"speculative/load_{name}" for name in ("plain", "acceptance", "lookahead"))
BILD, BILD_LLAMA, SPEED = (f"speculative/load_{name}" for name in ("bild", "bild_llama", "speed"))
SETTINGS = ("trace.rate", "decoding.acceptance", "decoding.lookahead", "decoding.fallback", "decoding.rollback")

BY_ACCEPTANCE = {
    f"{100 * share:g} % accepted": Variant(ACCEPTANCE, {"decoding.acceptance": share}) for share in (0.5, 0.7, 0.9)
}
BY_LOOKAHEAD = {
    f"{many} proposed": Variant(sweep, {"decoding.lookahead": many, "decoding.acceptance": 0.7})
    for many, sweep in ((1, LOOKAHEAD), (2, LOOKAHEAD), (4, ACCEPTANCE), (8, LOOKAHEAD))
}
PIPELINES = {f"SPEED {name}": Variant(SPEED, {"system": f"speed_{name}"}) for name in ("4x3", "2x6")}
BILDS = {"BiLD": Variant(BILD, {"decoding": "drawn_fallback_rollback"})}
BILDS_LLAMA = {"BiLD's rates": Variant(BILD_LLAMA, {})}
COMPARED = {  # what is compared with which plain decoding
    "Llama-3.1-8B, H100": (Variant(PLAIN, {}), {**BY_ACCEPTANCE, **BY_LOOKAHEAD, **BILDS_LLAMA}),
    "T5 1.1 Base, A5000": (Variant(SPEED, {"system": "vllm"}), PIPELINES),
    "T5-large, T4": (Variant(BILD, {"decoding": "plain"}), BILDS),
}
E2E = "response_time_mean"
CHANGE = "change from plain decoding, %"
JOBS, CONTEXT = (1, 2, 4, 8, 16, 32, 48, 64, 96, 128, 192, 256), 330  # decoding together, tokens of each
TARGET, DRAFT = ("llama-3.1-8b", "h100_sxm_analytic"), ("llama-3.2-1b", "h100_sxm_draft")
ABOUT = (
    "Llama-3.1-8B with a draft of 1B on one H100, both analytic; {} requests of Alpaca's lengths, up to 256 at a time. "
    "Left: 4 proposed a pass. Middle: 70 % accepted. Right: tokens/s of so many jobs of 330 tokens each over plain "
    "decoding's, by the profiles alone."
)
ABOUT_OTHERS = (
    "Left: T5 1.1 Base on an A5000, summaries of CNN/DM's lengths, up to 128 at a time, beside the unshared decoder of "
    "12 layers; 10 % (4x3) and 15 % (2x6) of the predictions change, at the second time through. Middle: T5-large with "
    "T5-small on a T4, up to 28 at a time, by XSUM's rates of fallback and rollback [R]. Right: the same rates for "
    "Llama-3.1-8B with a draft of 1B on an H100 [A]. All profiles are analytic; {} requests."
)


def tokens_a_pass(acceptance: float, lookahead: int) -> float:
    """Expected tokens of a pass of draft and verify (arXiv 2211.17192, eq. 1)."""
    return sum(acceptance**power for power in range(lookahead + 1))


def gain(target: Profile, priced: PricedProfile, tokens: float, lookahead: int, jobs: int) -> float:
    """Tokens/s over those of plain decoding, of `jobs` of equal context that decode and nothing else."""
    alone = Step(decode_jobs=jobs, decode_context=jobs * CONTEXT)
    proposed = alone._replace(proposed_tokens=jobs * lookahead, rounds=lookahead)
    return tokens * target.step_time(alone) / priced.step_time(proposed)


def draft_verify(stored: Stored, output: Path) -> list[Path]:
    """Draft and verify by rate, and by jobs."""
    plain = stored.table(PLAIN)
    target, draft = profile(*TARGET), profile(*DRAFT)
    priced = Drafted(target, draft)
    alone: dict[str, Curve] = {
        f"{100 * share:g} %, {many} proposed": [
            (jobs, Interval(gain(target, priced, tokens_a_pass(share, many), many, jobs), float("nan")))
            for jobs in JOBS
        ]
        for share, many in ((0.5, 4), (0.7, 4), (0.9, 4), (0.7, 2), (0.7, 8))
    }
    panels = [
        *(
            Panel(f"E2E, by {word}", "requests/s", CHANGE, _by_rate(stored, variants, plain), level=0.0)
            for word, variants in (("acceptance", BY_ACCEPTANCE), ("lookahead", BY_LOOKAHEAD))
        ),
        Panel(
            "a pass, by the profiles",
            "jobs that decode",
            "times the tokens/s",
            alone,
            level=1.0,
            log="x",
            top=3.3,
        ),
    ]
    caption = f"{ABOUT.format(requests_of(plain))} {provenance_of(plain)}"
    return draw(panels, caption, output / "load_draft_verify")


def others(stored: Stored, output: Path) -> list[Path]:
    """SPEED and BiLD by rate."""
    speed, t4, llama = (
        COMPARED[name][0].runs(stored) for name in ("T5 1.1 Base, A5000", "T5-large, T4", "Llama-3.1-8B, H100")
    )
    panels = [
        Panel("SPEED, E2E", "requests/s", CHANGE, _by_rate(stored, PIPELINES, speed), level=0.0),
        Panel(
            "BiLD on a T4",
            "requests/s",
            CHANGE,
            {word: load.changes(BILDS["BiLD"].runs(stored), t4, metric) for metric, word in load.METRICS.items()},
            level=0.0,
        ),
        Panel(
            "BiLD on an H100, E2E",
            "requests/s",
            CHANGE,
            _by_rate(stored, BILDS_LLAMA, llama),
            level=0.0,
            top=140.0,
        ),
    ]
    plain = pd.concat([speed, t4, llama])
    return draw(panels, f"{ABOUT_OTHERS.format(requests_of(plain))} {provenance_of(plain)}", output / "load_others")


def crossings(stored: Stored, output: Path) -> list[Path]:
    """The table of where it stops paying."""
    told = [
        {"": called, **row}
        for called, (plain, variants) in COMPARED.items()
        for row in load.rows(stored, variants, plain.runs(stored))
    ]
    notes = (
        "The rate at which a metric is no longer better than under plain decoding with the same requests, and how many "
        "requests are there then on average, straight between the rates that were run; means with 95 % intervals "
        "over seeds. -: at no rate, or at all of them."
    )
    title = "Where speculation stops paying"
    return written(pd.DataFrame(told), output / "load_crossings", title, notes, load.numbers(told))


def _by_rate(
    stored: Stored, variants: Mapping[str, Variant], plain: pd.DataFrame, metric: str = E2E
) -> dict[str, Curve]:
    return {called: load.changes(variant.runs(stored), plain, metric) for called, variant in variants.items()}


FIGURES = {
    "load_draft_verify": Figure(
        "Draft and verify under load, by acceptance and lookahead: speculative/load_plain, _acceptance, _lookahead",
        draft_verify,
    ),
    "load_others": Figure(
        "SPEED's pipelines, and BiLD, under load: speculative/load_plain, _bild_llama, _speed, _bild", others
    ),
    "load_crossings": Figure(
        "At which load speculation stops paying (a table): all six sweeps speculative/load_*", crossings
    ),
}
