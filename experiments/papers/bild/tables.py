"""Our values for BiLD's claims, from stored results and from the recorded pair: what claims.yaml names."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from omegaconf import OmegaConf

from experiments.claims import Found
from experiments.conf import HERE as CONF
from experiments.figures.stored import Stored, of
from experiments.papers.size_based.times import times
from experiments.tables.stats import Interval, interval
from policies.decoding.drawn_fallback_rollback import DrawnFallbackRollback
from policies.decoding.fallback_rollback import FallbackRollback, Run
from policies.decoding.fallback_rollback_released import FallbackRollbackReleased
from profiles.constant import constant
from profiles.profile import load
from sim import Request, Truth
from traces.pair import SHIPPED, read_pair
from traces.requests import to_requests

SETTINGS = (
    "decoding.fallback",
    "decoding.fallback_below",
    "decoding.rollback_above",
    "trace.layers",
    "trace.aligned",
)
METRIC, DECODING = "response_time_mean", "tpot_mean"  # of requests that never wait: the latency, and what is left of it
METRICS = {"the whole answer": METRIC, "after its first token": DECODING}
PAIR, THRESHOLDS, EXITS = (f"speculative/bild_{name}" for name in ("pair", "thresholds", "exits"))
SMALL = ((3, True), (6, True), (10, True), (20, True), (28, True), (28, False))  # layers, aligned: what was recorded
UNTIMED = constant(1.0, 1, 1)
CONTEXT = 128  # tokens, at which two profiles are compared


class Counts(NamedTuple):
    """Of one answer: tokens after its first, calls of the large model, tokens of the small one, rollbacks; and tokens
    that the small model put and the large one would not have said there."""

    tokens: int
    calls: int
    drafted: int
    rollbacks: int
    differing: int


def counted(request: Request, runs: Iterable[Run]) -> Counts:
    """What the `runs` of an answer after its first token come to; without proposals nothing is known to differ."""
    made, said = list(runs), request.truth.proposals
    differing = sum(not one.agrees for run in made for one in said[run.start : run.start + run.kept])
    return Counts(
        request.truth.output_tokens - 1,
        len(made),
        sum(run.drafted for run in made),
        sum(run.rolled_back for run in made),
        differing,
    )


def replayed(
    layers: int,
    aligned: bool,
    fallback: float,
    rollback: float,
    released: bool = False,
    messages: Iterable[str] | None = None,
    path: Path = SHIPPED,
) -> list[Counts]:
    """Counts of each recorded answer (or of those to `messages`) under these thresholds."""
    kind = FallbackRollbackReleased if released else FallbackRollback
    decoding = kind(UNTIMED, fallback, rollback)
    said = recorded(f"{layers}_aligned" if aligned else f"{layers}", path)
    wanted = said if messages is None else {key: said[key] for key in messages}
    return [counted(one, decoding.runs(one, 1)) for one in wanted.values() if one.truth.output_tokens > 1]


@cache
def recorded(small: str, path: Path = SHIPPED) -> dict[str, Request]:
    """The recorded answers by message, with what the small model says."""
    table = read_pair(path, small)
    return dict(zip(table["message_id"], to_requests(table), strict=True))


def share(counts: Iterable[Counts], part: str) -> float:
    """How many of `part` there are for each token."""
    each = list(counts)
    return sum(getattr(one, part) for one in each) / sum(one.tokens for one in each)


def speed_up(stored: Stored, sweep: str, decoding: str) -> list[Found]:
    """How many times shorter than with the large model alone the mean latency is, and the mean time of a token."""
    table = stored.table(f"speculative/{sweep}")
    plain, own = of(table, decoding="plain"), of(table, decoding=decoding)
    return [Found(word, times(plain, own, metric)) for word, metric in METRICS.items()]


def speed_ups(stored: Stored, sweep: str, plain: str) -> list[Found]:
    """The same with the fewest and the most calls of the large model that were run."""
    found = []
    for word, metric in METRICS.items():
        fewest, *_, most = curve(stored, sweep, plain, metric)
        found += [Found(f"{word}, {100 * at:g} calls for 100 tokens", value) for at, value in (fewest, most)]
    return found


def curve(stored: Stored, sweep: str, plain: str, metric: str = METRIC) -> list[tuple[float, Interval]]:
    """The speed-up at each rate of calls of `sweep`, beside the plain runs of the sweep `plain`."""
    base = of(stored.table(f"speculative/{plain}"), decoding="plain")
    rows = stored.table(f"speculative/{sweep}").groupby("decoding.fallback")
    return [(float(at), times(base, own, metric)) for at, own in rows]


def rate(stored: Stored, sweep: str, decoding: str, what: str) -> list[Found]:
    """How many `calls` of the large model, or `rollbacks`, there are for each 100 tokens after an answer's first."""
    name = f"speculative/{sweep}"
    runs = of(stored.table(name), decoding=decoding)
    drawn = configured(decoding)
    values = []
    for run, seed in zip(runs["run"], runs["seed"], strict=True):
        made = DrawnFallbackRollback(UNTIMED, drawn["fallback"], drawn["rollback"], drawn["lookahead"], int(seed))
        table = stored.requests(name, run, ("id", "output_tokens", "passes"))
        counts = []
        for number, tokens in zip(table["id"], table["output_tokens"], strict=True):
            request = Request(int(number), 0.0, 1, Truth(int(tokens)))
            counts.append(counted(request, made.runs(request, 1)))
        if [one.calls for one in counts] != table["passes"].tolist():
            raise ValueError(f"{name}, run {run}: its passes are not those of {decoding} and seed {seed}")
        values.append(100 * share(counts, what))
    return [Found("", interval(values))]


@cache
def configured(decoding: str) -> dict[str, Any]:
    """The settings of a drawn decoding, but for its profile and seed."""
    own = OmegaConf.load(CONF / "decoding" / f"{decoding}.yaml").decoding
    base = OmegaConf.load(CONF / "decoding" / "drawn_fallback_rollback.yaml").decoding
    return {name: own.get(name, base.get(name)) for name in ("fallback", "rollback", "lookahead")}


def ratio(stored: Stored, small: str, large: str) -> list[Found]:
    """What a pass of one token takes with the small model, over what it takes with the large one, by profile."""
    times_of = {}
    for model in (small, large):
        line = load(model, "t4_eager").decode_line(1, CONTEXT)
        times_of[model] = line.base + line.slope * CONTEXT
    return [Found("on a T4, by its datasheet", Interval(times_of[small] / times_of[large], 0.0))]


def differing(stored: Stored, name: str, low: float, high: float) -> list[Found]:
    """By how many percentage points the share of tokens that differ is larger at the threshold `high` than at `low`.

    Paired by answer; the other threshold is the code's, of each recorded small model.
    """
    found = []
    for small, pairs in both(name, low, high).items():
        shares = [100 * (other.differing / other.tokens - one.differing / one.tokens) for one, other in pairs]
        found.append(Found(small, interval(shares)))
    return found


def both(name: str, low: float, high: float) -> dict[str, list[tuple[Counts, Counts]]]:
    """By small model, the counts of each answer at both values of a threshold, the other being the code's."""
    made = {}
    for layers, aligned in SMALL:
        one, other = (
            replayed(layers, aligned, *((value, 5.0) if name == "fallback" else (0.6, value))) for value in (low, high)
        )
        made[called(layers, aligned)] = list(zip(one, other, strict=True))
    return made


def called(layers: int, aligned: bool) -> str:
    """The small model in words."""
    return f"{layers} of 30 layers{', aligned' if aligned else ''}"


def threshold_speed(stored: Stored, name: str, low: float, high: float) -> list[Found]:
    """How many times shorter the latency is at the threshold `high` than at `low`, aligned; the other is fixed."""
    table = of(stored.table(THRESHOLDS), **{"trace.aligned": True})
    column, other, value = {
        "fallback": ("decoding.fallback_below", "decoding.rollback_above", 5.0),
        "rollback": ("decoding.rollback_above", "decoding.fallback_below", 0.5),
    }[name]
    found = []
    for layers, rows in of(table, **{other: value}).groupby("trace.layers"):
        one, most = (of(rows, **{column: at}) for at in (low, high))
        found.append(Found(called(int(layers), True), times(one, most, METRIC)))
    return found


def frame(stored: Stored, sweep: str) -> pd.DataFrame:
    """A row for each setting of `sweep` of the real pair: its speed-up, and what its thresholds come to."""
    plain = stored.table(PAIR)
    keys = ["decoding", "trace.layers", "trace.aligned", "decoding.fallback_below", "decoding.rollback_above"]
    rows = []
    for at, own in stored.table(sweep).groupby(keys):
        kind, layers, aligned, fallback, rollback = at
        counts = replayed(int(layers), bool(aligned), float(fallback), float(rollback), str(kind).endswith("released"))
        rows.append(
            {
                **dict(zip(keys, at, strict=True)),
                "speed-up": times(plain, own, METRIC),
                "calls %": 100 * share(counts, "calls"),
                "rollbacks %": 100 * share(counts, "rollbacks"),
                "drafted %": 100 * share(counts, "drafted"),
                "differing %": 100 * share(counts, "differing"),
                "tokens a pass": 1 / share(counts, "calls"),
            }
        )
    return pd.DataFrame(rows)


def agreement(layers: int, aligned: bool) -> float:
    """The share of tokens of which the small model's first choice is the large one's, %."""
    said = recorded(f"{layers}_aligned" if aligned else f"{layers}").values()
    return 100 * float(np.mean([one.agrees for request in said for one in request.truth.proposals]))
