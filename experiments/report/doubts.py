"""What a reader must know before the numbers: who is not in them, what is saturated, how few seeds there are."""

from __future__ import annotations

from collections.abc import Iterator

from experiments.report.sweep import STATES, Sweep
from experiments.tables.stats import distinct

SATURATED = 0.9  # of what arrives: a policy that finishes less falls behind
FEW = 4  # policies that a warning names
ENOUGH = 5  # seeds


def doubts(sweep: Sweep) -> list[str]:
    """A line each."""
    return [*_left_out(sweep), *_lost(sweep), *_saturated(sweep), *_seeds(sweep), *_warmup(sweep), *sweep.said]


def _left_out(sweep: Sweep) -> Iterator[str]:
    for state, count in sweep.others.items():
        yield f"{count} runs are {STATES.get(state, state)}: they are not on this page."


def _lost(sweep: Sweep) -> Iterator[str]:
    """Requests that no time is of."""
    why = {
        "rejected": "could never be served: no time counts them",
        "censored": "were unfinished at the horizon: no time counts them, and those that finished were the quick ones",
    }
    for state, words in why.items():
        if state in sweep.table and (count := int(sweep.table[state].sum())):
            share = count / max(1, int(sweep.table["requests"].sum()))
            of = ", ".join(dict.fromkeys(sweep.table.loc[sweep.table[state] > 0, "policy"].map(str)))
            yield f"{count:,} measured requests ({share:.2%}) {words}. Of {of}."
    if "rejection" in sweep.table and (reasons := sorted(set(sweep.table["rejection"].dropna()) - {""})):
        yield f"Rejected, for one: {reasons[0]}."


def _saturated(sweep: Sweep) -> Iterator[str]:
    """Where less is finished than arrives: the times there depend on how long the trace is."""
    if not {"requests", "window_seconds", "throughput_requests"} <= set(sweep.table):
        return
    told = []
    for name, own in sweep.apart():
        shares = own["throughput_requests"] * own["window_seconds"] / own["requests"]
        slow = shares.groupby(own["policy"], sort=False).mean()
        slow = slow[slow < SATURATED].sort_values()
        if len(slow):
            of = [f"{policy} {share:.0%}" for policy, share in slow.items()]
            more = f" and {len(of) - FEW} more" if len(of) > FEW else ""
            told.append(f"{f'at {name} ' if name else ''}{', '.join(of[:FEW])}{more}")
    if told:
        yield (
            "Saturated: of what arrives in the measured window so much is finished in it. The queue grows as long as "
            f"the trace lasts, so these times are of a trace of this length: {'; '.join(told)}."
        )


def _seeds(sweep: Sweep) -> Iterator[str]:
    """Few observations, or the same one several times."""
    cells = [own for _, own in sweep.table.groupby([*sweep.groups, "policy"], dropna=False)]
    seeds, seen = [own["seed"].nunique() for own in cells], [len(distinct(own)) for own in cells]
    if max(seeds) == 1:
        yield "One seed: no interval. What differs may be chance; sweep 'seed=range(5)'."
    elif min(seeds) < ENOUGH:
        count = f"{min(seeds)}" if min(seeds) == max(seeds) else f"{min(seeds)} to {max(seeds)}"
        yield f"Few seeds ({count}): intervals are wide, and rest on few traces."
    if any(fewer < count for fewer, count in zip(seen, seeds, strict=True)):
        yield (
            "Some seeds repeat another's run to the last bit, and count once: resample=blocks draws a recorded trace "
            "anew for each seed."
        )


def _warmup(sweep: Sweep) -> Iterator[str]:
    shares = sorted({float(sweep.config(run)["warmup"]) for run in dict.fromkeys(sweep.table["run"])})
    if shares[0] == 0:
        yield "Some runs cut no warm-up: their empty beginning, when nobody waits, is in the times."
