"""How often the printed intervals cover: resamples of a few of many seeds, against the value over all of them.

    tokenyard -m policy=fifo,sjf trace=poisson trace/lengths=zipf predictor=oracle load=1.2 'seed=range(200)' name=many
    tokenyard evaluate coverage results/many
    tokenyard evaluate coverage results/many --seeds 10 --all-methods

Seeds are drawn with replacement, so that each resample is of independent runs from a population whose value is known:
that over all seeds. A row is a policy and a quantity, a column a method of making the interval; `printed` is the one
that tables and figures use, and is meant to lie within 93 to 97 %. Resamples without an interval, because all of their
seeds are equal, are not among them: `none` is their share. docs/statistics.md says what came out.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from itertools import combinations_with_replacement
from math import factorial, prod
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from experiments.tables.collect import read_table
from experiments.tables.labels import shown
from experiments.tables.reference import Reference
from experiments.tables.stats import CONFIDENCE, Floats, jackknife, ratios

Method = Callable[[Floats, Floats], tuple[Floats, Floats]]  # ours, theirs (seeds x resamples) -> the interval's ends
METRICS = {"response_time_mean": "response time", "throughput_requests": "throughput"}
TARGET = (93.0, 97.0)  # %
FEWEST = 200  # seeds of a population


def _around(middle: Floats, half: Floats) -> tuple[Floats, Floats]:
    return middle - half, middle + half


def _t(count: int) -> float:
    return float(stdtrit(count - 1, 0.5 + CONFIDENCE / 2))


def _error(values: Floats) -> Floats:
    """The standard error of the mean over the first axis."""
    return np.asarray(values.std(axis=0, ddof=1) / np.sqrt(len(values)))


def printed_difference(ours: Floats, theirs: Floats) -> tuple[Floats, Floats]:
    """The interval of experiments.tables.stats."""
    gaps = ours - theirs
    return _around(gaps.mean(axis=0), jackknife((gaps.sum(axis=0) - gaps) / (len(gaps) - 1)))


def student(ours: Floats, theirs: Floats) -> tuple[Floats, Floats]:
    """Student's t of the paired difference, with n - 1 degrees of freedom."""
    gaps = ours - theirs
    return _around(gaps.mean(axis=0), _t(len(gaps)) * _error(gaps))


def johnson(ours: Floats, theirs: Floats) -> tuple[Floats, Floats]:
    """Student's t, moved by the skew (Johnson 1978)."""
    gaps = ours - theirs
    count = len(gaps)
    third = count**2 * ((gaps - gaps.mean(axis=0)) ** 3).mean(axis=0) / ((count - 1) * (count - 2))
    with np.errstate(invalid="ignore", divide="ignore"):
        moved = np.nan_to_num(third / (6 * gaps.var(axis=0, ddof=1) * count))
    return _around(gaps.mean(axis=0) + moved, _t(count) * _error(gaps))


def bootstrap_t_difference(ours: Floats, theirs: Floats) -> tuple[Floats, Floats]:
    """Quantiles of the studentized mean over all resamples of the few seeds."""
    gaps = ours - theirs
    return _bootstrap_t(gaps, gaps.mean(axis=0))


def printed_change(ours: Floats, theirs: Floats) -> tuple[Floats, Floats]:
    """The interval of experiments.tables.stats."""
    whole, left_out = ratios(ours, theirs)
    return _around(whole, jackknife(left_out))


def scaled_difference(ours: Floats, theirs: Floats) -> tuple[Floats, Floats]:
    """The interval of the difference over the reference's mean, as if that were known: what was printed before."""
    low, high = student(ours, theirs)
    return 100 * low / theirs.mean(axis=0), 100 * high / theirs.mean(axis=0)


def delta(ours: Floats, theirs: Floats) -> tuple[Floats, Floats]:
    """The ratio's first-order error."""
    ratio = ours.mean(axis=0) / theirs.mean(axis=0)
    return _around(100 * (ratio - 1), 100 * _t(len(ours)) * _error(ours - ratio * theirs) / theirs.mean(axis=0))


def log_delta(ours: Floats, theirs: Floats) -> tuple[Floats, Floats]:
    """The same of the ratio's logarithm."""
    half = _t(len(ours)) * _error(ours / ours.mean(axis=0) - theirs / theirs.mean(axis=0))
    ratio = ours.mean(axis=0) / theirs.mean(axis=0)
    return 100 * (ratio * np.exp(-half) - 1), 100 * (ratio * np.exp(half) - 1)


def log_ratios(ours: Floats, theirs: Floats) -> tuple[Floats, Floats]:
    """Student's t of each seed's own log ratio: the interval of another mean, the geometric one."""
    logs = np.log(ours / theirs)
    low, high = _around(logs.mean(axis=0), _t(len(logs)) * _error(logs))
    return 100 * (np.exp(low) - 1), 100 * (np.exp(high) - 1)


def fieller(ours: Floats, theirs: Floats) -> tuple[Floats, Floats]:
    """The ratios that a t test does not reject; without ends where the reference's mean may be 0."""
    square = _t(len(ours)) ** 2 / len(ours)
    means = ours.mean(axis=0), theirs.mean(axis=0)
    both = ((ours - means[0]) * (theirs - means[1])).sum(axis=0) / (len(ours) - 1)
    a = means[1] ** 2 - square * theirs.var(axis=0, ddof=1)
    b = means[0] * means[1] - square * both
    c = means[0] ** 2 - square * ours.var(axis=0, ddof=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        low, high = _around(b / a, np.sqrt(b**2 - a * c) / a)
    ends = (a > 0) & (b**2 >= a * c)
    return np.where(ends, 100 * (low - 1), -np.inf), np.where(ends, 100 * (high - 1), np.inf)


def bootstrap_t_change(ours: Floats, theirs: Floats) -> tuple[Floats, Floats]:
    """Bootstrap-t of the ratio, on its jackknife's pseudo-values."""
    whole, left_out = ratios(ours, theirs)
    return _bootstrap_t(len(ours) * whole - (len(ours) - 1) * left_out, whole)


def _bootstrap_t(values: Floats, middle: Floats) -> tuple[Floats, Floats]:
    count = len(values)
    drawn = [np.bincount(one, minlength=count) for one in combinations_with_replacement(range(count), count)]
    drawn = [one for one in drawn if one.max() < count]
    ways = np.array([factorial(count) / prod(factorial(times) for times in one) for one in drawn])
    shares = np.array(drawn) / count
    centred = values - values.mean(axis=0)
    means = shares @ centred
    spread = np.sqrt(np.maximum(shares @ centred**2 - means**2, 0) / (count - 1))
    with np.errstate(invalid="ignore", divide="ignore"):
        found = np.nan_to_num(means / spread, posinf=1e6, neginf=-1e6)
    order = np.argsort(found, axis=0)
    mass = np.cumsum(ways[order] / ways.sum(), axis=0)
    ends = [
        np.take_along_axis(np.take_along_axis(found, order, 0), (mass >= level).argmax(axis=0)[None], 0)[0]
        for level in (0.5 - CONFIDENCE / 2, 0.5 + CONFIDENCE / 2)
    ]
    return middle - ends[1] * _error(values), middle - ends[0] * _error(values)


DIFFERENCES: dict[str, Method] = {
    "printed": printed_difference,
    "Student": student,
    "Johnson": johnson,
    "bootstrap-t": bootstrap_t_difference,
}
MEANS: dict[str, Method] = {"printed": printed_difference, "Student": student}
CHANGES: dict[str, Method] = {
    "printed": printed_change,
    "as before": scaled_difference,
    "delta": delta,
    "log delta": log_delta,
    "log ratios": log_ratios,
    "Fieller": fieller,
    "bootstrap-t": bootstrap_t_change,
}
MANY = 8  # seeds, from which on the resamples of a bootstrap-t are too many to count out


def study(
    table: pd.DataFrame, reference: Reference, seeds: int, resamples: int, rng: np.random.Generator, every: bool
) -> pd.DataFrame:
    """A row for each policy and quantity: the value over all seeds, and the coverage of each method, %.

    ValueError for fewer than FEWEST seeds that have a run of both.
    """
    named = reference.labelled(table)
    if absent := reference.absent(named):
        raise ValueError(absent)
    rows = []
    groups = reference.groups(named)
    for key, group in named.groupby(groups, dropna=False) if groups else [((), named)]:
        partners = reference.partners(group, []).dropna()
        held = group[reference.holds(group)]
        setting = {name: shown(value) for name, value in zip(groups, key, strict=True)}
        for policy, own in group.loc[partners.index].drop(held.index).groupby("policy", sort=False):
            if len(own) < FEWEST:
                raise ValueError(f"{policy} has {len(own)} seeds with a run of {reference}, and needs {FEWEST}")
            draws = rng.integers(len(own), size=(seeds, resamples))
            for metric, name in METRICS.items():
                ours, theirs = (
                    table.loc[index, metric].to_numpy(dtype=float) for index in (own.index, partners[own.index])
                )
                gap, share = float((ours - theirs).mean()), float(ratios(ours, theirs)[0])
                quantities = {
                    f"{name}, difference": (gap, DIFFERENCES),
                    f"{name}, %": (share, CHANGES),
                    f"{name}, mean": (float(ours.mean()), MEANS),
                }
                for quantity, (truth, methods) in quantities.items():
                    pair = (ours, np.zeros_like(ours)) if methods is MEANS else (ours, theirs)
                    found = {
                        method: _covered(make(*(values[draws] for values in pair)), truth)
                        for method, make in methods.items()
                        if method == "printed" or (every and not (method == "bootstrap-t" and seeds >= MANY))
                    }
                    none = 100 * float(np.isnan(methods["printed"](*(values[draws] for values in pair))[0]).mean())
                    row = {"policy": policy, "quantity": quantity, "over all": truth, "none": none}
                    rows.append({**setting, **row, **found})
    if not rows:
        raise ValueError(f"no run has one of {reference} beside it")
    return pd.DataFrame(rows)


def _covered(ends: tuple[Floats, Floats], truth: float) -> float:
    """In how many percent of intervals `truth` lies, of those that there are."""
    there = ~np.isnan(ends[0]) & (ends[0] < ends[1])
    return 100 * float(np.mean(((ends[0] <= truth) & (truth <= ends[1]))[there])) if there.any() else float("nan")


def main(arguments: list[str] | None = None) -> int:
    """Read, resample, print; 1, with one line on stderr, for a table that cannot be used."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path, help="folder of results, or a collected table (.parquet, .csv)")
    parser.add_argument("--reference", help="what differences are taken from (default: fifo)")
    parser.add_argument("--seeds", type=int, default=5, help="of a resample, at least 3 (default: %(default)s)")
    parser.add_argument("--resamples", type=int, default=1000, help="(default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the resamples (default: %(default)s)")
    parser.add_argument("--all-methods", action="store_true", help="the methods that were not taken, too")
    options = parser.parse_args(arguments)
    if options.seeds < 3 or options.resamples < 1:
        parser.error(f"--seeds must be at least 3 and --resamples 1, got {options.seeds} and {options.resamples}")
    try:
        found = study(
            read_table(options.table),
            Reference.of(options.reference),
            options.seeds,
            options.resamples,
            np.random.default_rng(options.seed),
            options.all_methods,
        )
    except (ValueError, OSError, KeyError) as error:
        print(f"tokenyard evaluate coverage: {error}", file=sys.stderr)
        return 1
    print(f"coverage in % of nominal 95 % intervals: {options.resamples:,} resamples of {options.seeds} seeds")
    print(found.to_string(index=False, float_format="{:.1f}".format, na_rep=""))
    compared = found[~found["quantity"].str.endswith("mean")]
    inside = compared["printed"].between(*TARGET).sum()
    print(f"printed: {inside} of {len(compared)} differences and percentages within {TARGET[0]:g} to {TARGET[1]:g} %")
    return 0
