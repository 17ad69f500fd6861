"""Why one run is slower than another: the difference of their mean response times, split into parts.

    tokenyard explain results/demo policy=fifo policy=rtlm trace=recorded trace.rate=60
    tokenyard explain results/before results/after          # two folders, of one run or of several seeds each

A setting that is given twice names the two sides, the one to compare with first; given once it narrows both. Runs are
paired by seed and their requests by id: of the same trace, those that arrived in the measured window and finished in
both. Parts are the mean seconds of a request in each state, and add up to its response time:

    queueing      from when a replica has it until its first step there, and after a call until it runs again
    prefill       its prompt, or what a call returned, is computed; decode: it emits
    preemption    stopped, with its KV kept or dropped; and recompute: what was dropped is computed anew
    swap          it waits with its KV on the host, or on the way; transfer: its KV is on its way to another replica
    pauses        it calls out; offload: all time on a device of the kind cpu
    predictor     predictions, with the queue before them; scheduler: the router, and scheduling steps in which it runs

All of them are told of runs with record=jobs; of others preemption, swap and the scheduler are in prefill and decode.
Sizes are cut so that each class has as many of the pairs (of all seeds), by the length of the answer (--by). Intervals
(95 %) are over seeds: docs/statistics.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import numpy as np
import pandas as pd

from experiments.spans.chosen import Asked, Side, same_requests
from experiments.spans.explanation import Explanation
from experiments.spans.words import heading, why
from experiments.tables.parts import split
from sim.metrics import measured_window

SIZES = ("output_tokens", "prompt_tokens")
NAMES = {1: ("all",), 2: ("short", "long"), 3: ("short", "middle", "long")}
CLASSES = 3


def explain(words: Sequence[str], by: str = SIZES[0], classes: int = CLASSES) -> Explanation:
    """The explanation that the command line `tokenyard explain WORDS` gives; ValueError for what cannot be paired."""
    first, second = Asked.of(words).sides()
    return explained(first, second, by, classes)


def explained(first: Side, second: Side, by: str = SIZES[0], classes: int = CLASSES) -> Explanation:
    """Why `second` differs from `first`; ValueError for what cannot be paired."""
    seeds = sorted(first.runs.keys() & second.runs.keys())
    if not seeds:
        raise ValueError(
            f"not paired: {first.name} has the seeds {_listed(first.runs)}, {second.name} {_listed(second.runs)}"
        )
    notes = [
        f"left out: seed {_listed(alone)} of {side.name}, of which {other.name} has no complete run"
        for side, other in ((first, second), (second, first))
        if (alone := sorted(side.runs.keys() - other.runs.keys()))
    ]
    spanned = first.has_spans and second.has_spans
    if not spanned:
        without = " and ".join(side.name for side in (first, second) if not side.has_spans)
        notes.append(
            f"{without}: no spans, so preemption, swap and the scheduler are in prefill and decode, and prefill of "
            "static batches is in decode; the same runs with record=jobs tell them apart"
        )
    parts: tuple[list[pd.DataFrame], list[pd.DataFrame]] = ([], [])
    pairs, unfinished = [], 0
    for seed in seeds:
        if not same_requests(first.runs[seed], second.runs[seed]):
            raise ValueError(
                f"not paired: {second.name} replayed other requests than {first.name} (seed {seed}); give both "
                "the same trace and rate, and where one of them keeps rows for training, trace.training_share=..."
            )
        tables = [side.read(seed, "requests.parquet") for side in (first, second)]
        found = [split(side.runs[seed], table, spanned) for side, table in zip((first, second), tables, strict=True)]
        warmup = max(side.runs[seed].made_of()["config"]["warmup"] for side in (first, second))
        since, until = measured_window(dict(tables[0].items()), warmup)
        measured = tables[0].loc[tables[0]["arrival"].between(since, until)].set_index("id")
        both = measured.index.intersection(found[0].index).intersection(found[1].index)
        unfinished += len(measured) - len(both)
        pairs.append(measured.loc[both, [*SIZES]].assign(seed=seed, request=both))
        for side, one in zip(parts, found, strict=True):
            side.append(one.loc[both])
    table, left, right = (pd.concat(one, ignore_index=True) for one in (pairs, *parts))
    if not len(table):
        raise ValueError(f"not paired: no request finished under both {first.name} and {second.name}")
    if unfinished:
        notes.append(f"{unfinished:,} requests of the measured window did not finish in both, and are left out")
    sizes = _sizes(table[by], classes)
    names = (first.name, second.name)
    present = NAMES[sizes.nunique()]
    return Explanation(names, table.assign(size=sizes), left, right, by, present, tuple(notes))


def _sizes(lengths: pd.Series, classes: int) -> pd.Series:
    """The class of each length, cut so that each has as many as ties let: equal lengths are in one."""
    ordered = np.sort(lengths)
    first: list[int] = []  # the least length of each class but the lowest
    for share in np.arange(1, classes) / classes:
        at = ordered[min(len(ordered) - 1, int(share * len(ordered)))]
        edges = [np.searchsorted(ordered, at, side=side) for side in ("left", "right")]
        edge = min(edges, key=lambda one: abs(one - share * len(ordered)))
        if 0 < edge < len(ordered) and ordered[edge] not in first:
            first.append(ordered[edge])
    names = np.array(NAMES[len(first) + 1])
    return pd.Series(names[np.searchsorted(first, lengths, side="right")], lengths.index)


def _listed(seeds: object) -> str:
    return ", ".join(map(str, sorted(seeds)))  # type: ignore[call-overload]


def render(found: Explanation) -> str:
    """What is printed."""
    table, most = found.table(), found.most()
    forms = {name: "{:.3f}".format for name in found.names}
    forms |= {size: "{:+.3f}".format for size in found.classes}
    table["difference"] = [format(value, "+.3f") for value in table["difference"]]
    forms_of_most = {name: "{:.3f}".format for name in found.names} | {"difference": "{:+.3f}".format}
    share = found.share(most)
    batches = [found.batch(side) for side in (found.first, found.second)]
    lines = [
        *heading(found),
        "",
        table.to_string(index=False, formatters=forms),
        "",
        f"The {len(most)} requests that differ most" + (f", {share:.0%} of the whole" if 0 < share <= 1 else "") + ":",
        most.to_string(index=False, formatters=forms_of_most),
        "",
    ]
    if not np.isnan(batches).any():
        steps = [f"{batch:.1f} under {name}" for batch, name in zip(batches, found.names, strict=True)]
        lines += [f"jobs in the steps in which a request decodes: {', '.join(steps)}"]
    return "\n".join([*lines, *(f"note: {note}" for note in found.notes), "", why(found)])


def main() -> None:
    """Explain, and print it; what is wrong is said in one line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="+", metavar="FOLDER|KEY=VALUE", help="folders of results, settings")
    parser.add_argument("--by", choices=SIZES, default=SIZES[0], help="what sizes are of (default: %(default)s)")
    parser.add_argument(
        "--classes", type=int, choices=sorted(NAMES), default=CLASSES, help="of sizes (default: %(default)s)"
    )
    given = parser.parse_args()
    try:
        print(render(explain(given.words, given.by, given.classes)))
    except (ValueError, OSError) as error:
        sys.exit(f"tokenyard explain: {error}")
