"""What an uneven batch's attention costs beyond an even one's, from LLMServingSim's skew tables.

A row of these tables is a batch of `n` decoding jobs, `nb` of which have `kv_big` tokens and the others kv_big / skew,
beside a prompt chunk `pc` after `kp` tokens: the time it took (t_skew_us), and the times of as many jobs that all have
the mean (t_mean_us) or all the longest (t_max_us). A batch of any lengths counts as the two lengths that have its mean
and its longest: attention reads all contexts, and where one job's is read by one part of the device, the longest is
what the others wait for.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from statistics import median, quantiles

from profiles.kernel_tables import Grid, nest, read_rows

COLUMNS = ("pc", "n", "kp", "kv_big", "kv_mean", "skew", "t_mean_us", "t_max_us")
AXES = ("prefill chunk", "decoding jobs", "tokens before the chunk", "longest over mean context", "mean context")
AGREEMENT = 0.1  # nine in ten of t_max_us have to be as near to the attention table, but for one unit of all

Where = tuple[float, ...]


class Held(Grid):
    """A Grid that beyond its last knot is as at the last, as it is below the first."""

    __slots__ = ()

    def around(self, value: float) -> tuple[tuple[Grid | float, float], ...]:
        return super().around(min(value, self.knots[-1]))


def read_skew(path: Path, attention: Grid) -> Grid:
    """By what to multiply `attention` along `AXES`; ValueError names the file and what is wrong.

    The unit of the table is told by the batches that all have the longest, most of which stand where `attention` was
    measured: of the tables that were seen, it is a third of what the columns say. Only rows of the most frequent `skew`
    are read, for the others make no grid.
    """
    rows = read_rows(path, "", COLUMNS, "t_skew_us")[""]
    most = Counter(where[5] for where, _ in rows).most_common(1)[0][0]
    times: dict[Where, float] = {}  # of a place in `attention`
    units, factors, even = [], {}, {}
    for (pc, n, kp, big, mean, skew, mean_us, max_us), seconds in rows:
        if skew != most:
            continue
        of_mean, of_max = (_at(attention, (pc, n, kp, kv), times) for kv in (mean, big))
        if not of_mean or not of_max:
            continue  # `attention` was not measured so far, or is nothing there: nobody can ask for it
        units.append(max_us / of_max)
        factors[pc, n, kp, big / mean, mean] = seconds * 1e6 / of_mean
        even[pc, n, kp, 1.0, mean] = mean_us / of_mean
    if len(units) < 2:
        raise ValueError(f"{path}: {len(units)} of its {len(rows)} rows lie where attention was measured")
    unit = median(units)
    off = quantiles((abs(value / unit - 1) for value in units), n=10)[-1]
    if off > AGREEMENT:
        raise ValueError(f"{path}: t_max_us is {off:.0%} and more from the attention table in a tenth of the rows")
    alone = {(pc, 1.0, kp, 1.0, 0.0): unit for pc, _, kp, _, _ in even}  # one job is as long as the mean
    return held(nest(sorted((where, value / unit) for where, value in (alone | even | factors).items()), AXES))


def held(grid: Grid) -> Held:
    """`grid` that answers beyond its last knots."""
    return Held(grid.name, grid.knots, tuple(held(part) if isinstance(part, Grid) else part for part in grid.parts))


def _at(attention: Grid, where: Where, known: dict[Where, float]) -> float:
    """Seconds there; 0 beyond what was measured."""
    if where not in known:
        try:
            known[where] = attention.at(*where)
        except ValueError:
            known[where] = 0.0
    return known[where]
