"""docs/claims.md and the printed tables: what is claimed, what came out, the verdict and why."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from experiments.claims.kept import Kept
from experiments.claims.record import SURE, Claim, Paper
from experiments.claims.verdict import Verdict, of, of_one
from experiments.tables.stats import Interval

HEAD = """# Claims, and what came out

Written by `tokenyard claims` from the records in experiments/papers/PAPER/claims.yaml and what was found for them, not
by hand. The verdict is computed. **Holds**: our value lies within what is claimed, and its 95 % interval excludes that
there is no effect. **In part**: it lies on the claimed side, with another size; or it holds in some of the settings.
**Cannot be said**: the interval holds both what is claimed and no effect; or the claim rests on assumptions alone,
whose range is shown; or nobody has run it. **Given**: the claimed value was used to set a parameter. **Does not**:
anything else. Reasons are what the tables make likely; where one was tried out, the page of the paper says how."""


class Row(NamedTuple):
    """A claim, what was found for it, and the verdict."""

    claim: Claim
    kept: Kept
    verdict: Verdict

    @property
    def ours(self) -> list[str]:
        """Our value with its interval, at each place; of an assumption the range first."""
        entry = self.kept.of(self.claim)
        if entry is None:
            return ["-"]
        several = len(entry.found) > 1
        said = []
        for where, value in entry.found:
            own = f" ({of_one(self.claim, value)})" if several and not (self.claim.given or self.claim.assumes) else ""
            said.append(f"{where}: {number(self.claim, value)}{own}" if where else f"{number(self.claim, value)}{own}")
        if self.claim.assumes:
            means = [value.mean for _, value in entry.found]
            said.insert(0, f"from {min(means):.4g} to {max(means):.4g}{_unit(self.claim)}")
        return said

    @property
    def why(self) -> str:
        """The reason; before it, what was given or assumed, or how to make what is missing."""
        reason = self.claim.reason
        if self.claim.given:
            return f"It set {self.claim.given}. {reason}"
        if self.kept.of(self.claim) is None:
            one = len(self.claim.experiments) == 1
            made = f"-m experiment={self.claim.experiments[0]}" if one else "claims --run"
            changed = "The record was changed since it was found" if self.kept.changed(self.claim) else "No results"
            return f"{changed}: `tokenyard {made}`"
        return f"Assumed: {self.claim.assumes}. {reason}" if self.claim.assumes else reason


def rows(paper: Paper, kept: Kept) -> list[Row]:
    """A row for each claim, from what is kept."""
    entries = [kept.of(claim) for claim in paper.claims]
    found = [entry.found if entry else () for entry in entries]
    return [Row(claim, kept, of(claim, values)) for claim, values in zip(paper.claims, found, strict=True)]


def number(claim: Claim, value: Interval) -> str:
    """A value with its interval, to two digits of the half width."""
    digits = 3 if not value.half_width > 0 else min(6, max(0, 1 - math.floor(math.log10(value.half_width))))
    sign = "+" if claim.none == 0 else ""
    unit = _unit(claim)
    if math.isnan(value.half_width):
        return f"{value.mean:{sign}.3f}{unit}, no interval"
    return f"{value:{sign}.{digits}f}{unit}"


def claimed(claim: Claim) -> str:
    """What is claimed, in numbers."""
    low, high = claim.claimed
    unit = _unit(claim)
    if low is None:
        return f"{'below' if high == claim.none else 'at most'} {high:g}{unit}"
    if high is None:
        return f"{'above' if low == claim.none else 'at least'} {low:g}{unit}"
    if claim.within is not None:
        return f"{low:g}{unit}, within {100 * claim.within:g} %" if claim.within else f"{low:g}{unit} exactly"
    return f"{low:g} to {high:g}{unit}"


def _unit(claim: Claim) -> str:
    return f" {claim.unit}" if claim.unit else ""


def counts(table: Sequence[Row]) -> Counter[Verdict]:
    """How many claims came out how."""
    return Counter(row.verdict for row in table)


def document(scored: Sequence[tuple[Paper, Kept]]) -> str:
    """The page: counts, then a section for each paper."""
    tables = [rows(paper, kept) for paper, kept in scored]
    lines = [HEAD, "", f"| paper | {' | '.join(Verdict)} |", f"|---{'|---' * len(Verdict)}|"]
    for (paper, _), table in zip(scored, tables, strict=True):
        found = counts(table)
        lines.append(f"| [{paper.name}](#{paper.name}) | {' | '.join(str(found[one]) for one in Verdict)} |")
    total = counts([row for table in tables for row in table])
    lines.append(f"| all | {' | '.join(str(total[one]) for one in Verdict)} |")
    for (paper, kept), table in zip(scored, tables, strict=True):
        lines += ["", *_section(paper, kept, table)]
    return "\n".join([*lines, ""])


def _section(paper: Paper, kept: Kept, table: Sequence[Row]) -> Iterator[str]:
    yield from (f"## {paper.name}", "", f"{paper.title}.", "")
    yield "| claimed | source | ours | verdict | reason |"
    yield "|---|---|---|---|---|"
    for row in table:
        claim = row.claim
        cells = [f"{claim.says}: {claimed(claim)}", f"{claim.source} [{claim.sure}]", "<br>".join(row.ours)]
        cells += [f"**{row.verdict}**", row.why]
        yield f"| {' | '.join(' '.join(cell.replace('|', '/').split()) for cell in cells)} |"
    yield ""
    run = {name: one for name, one in sorted(kept.bases.items()) if one.runs}
    made = [f"{name} ({one.runs} runs, {one.seeds} seeds, {one.date})" for name, one in run.items()]
    yield f"Ours from {', '.join(made)}." if made else "Nothing was run."
    marks = [mark for mark in SURE if any(row.claim.sure == mark for row in table)]
    yield f"Sources: {', '.join(f'[{mark}] {SURE[mark]}' for mark in marks)}."


def printed(paper: Paper, table: Sequence[Row]) -> Iterator[str]:
    """The lines of a paper's table for a terminal, and its counts."""
    yield f"{paper.name}: {paper.title}"
    cells = [("claim", "claimed", "verdict", ["ours"])]
    cells += [(row.claim.name, claimed(row.claim), str(row.verdict), row.ours) for row in table]
    widths = [max(len(row[column]) for row in cells) for column in range(3)]
    for *short, (first, *others) in cells:
        yield "  " + "  ".join([*(f"{cell:<{width}}" for cell, width in zip(short, widths, strict=True)), first])
        yield from (" " * (sum(widths) + 8) + other for other in others)
    found = counts(table)
    yield f"  {len(table)} claims: {', '.join(f'{found[one]} {one}' for one in Verdict)}"
