"""The difference of two sides, pair by pair and part by part."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from experiments.tables.parts import PARTS
from experiments.tables.stats import Interval, interval

MOST = 10  # requests that are told


@dataclass(frozen=True)
class Explanation:
    """The pairs of two sides: `first` and `second` have a row a pair with its parts, `pairs` its seed, id and size.

    `notes` are what a reader must know of them.
    """

    names: tuple[str, str]
    pairs: pd.DataFrame
    first: pd.DataFrame
    second: pd.DataFrame
    by: str
    classes: tuple[str, ...]
    notes: tuple[str, ...]

    @cached_property
    def parts(self) -> list[str]:
        """Those of which some request has any."""
        return [name for name in PARTS if self.first[name].any() or self.second[name].any()]

    @property
    def seeds(self) -> int:
        """How many are paired."""
        return int(self.pairs["seed"].nunique())

    def mean(self, values: pd.Series | pd.DataFrame) -> pd.Series | float:
        """The mean over seeds of the means over the requests of a seed."""
        return values.groupby(self.pairs["seed"].loc[values.index]).mean().mean()

    def difference(self, part: str | None = None, size: str | None = None) -> Interval:
        """The mean of second - first of a part (None: of the response time), of a class of sizes or of all, s."""
        names = list(PARTS) if part is None else [part]
        each = (self.second[names] - self.first[names]).sum(axis=1)
        if size is not None:
            each = each[self.pairs["size"] == size]
        return interval(each.groupby(self.pairs["seed"].loc[each.index]).mean())

    def batch(self, side: pd.DataFrame) -> float:
        """How many ran in the steps in which requests decoded, weighted by their time; NaN where nobody says."""
        weight = side["batch_weight"].sum()
        return float(side["batch_jobs"].sum() / weight) if weight else float("nan")

    def cut(self, size: str) -> str:
        """The lengths in a class, in words."""
        lengths = self.pairs.loc[self.pairs["size"] == size, self.by]
        least, most = lengths.min(), lengths.max()
        return f"{most:,} tokens" if least == most else f"{least:,} to {most:,} tokens"

    def table(self) -> pd.DataFrame:
        """A row for each part and their sum, in seconds: both means, the difference, and that in each class."""
        rows = []
        for part in [*self.parts, None]:
            names = list(PARTS) if part is None else [part]
            of = [self.mean(side[names].sum(axis=1)) for side in (self.first, self.second)]
            row = {"part": part or "response time", **dict(zip(self.names, of, strict=True))}
            row["difference"] = self.difference(part)
            rows.append(row | {size: self.difference(part, size).mean for size in self.classes})
        return pd.DataFrame(rows)

    def most(self) -> pd.DataFrame:
        """The requests that differ most, and of what most of that is."""
        parts = self.second[self.parts] - self.first[self.parts]
        change = parts.sum(axis=1)
        top = change.abs().sort_values(ascending=False, kind="stable").index[:MOST]
        towards = parts.loc[top].mul(np.sign(change.loc[top]), axis=0)
        main = towards.idxmax(axis=1)
        said = [f"{parts.at[row, main[row]]:+.3f} {main[row]}" for row in top]
        sides = {
            name: side.loc[top, list(PARTS)].sum(axis=1)
            for name, side in zip(self.names, (self.first, self.second), strict=True)
        }
        return self.pairs.loc[top, ["seed", "request", "prompt_tokens", "output_tokens"]].assign(
            **sides, difference=change.loc[top], mostly=said
        )

    def share(self, of: pd.DataFrame) -> float:
        """What some of the pairs make of the whole difference; above 1, or below 0, where others weigh against it."""
        each = (self.second[self.parts] - self.first[self.parts]).sum(axis=1)
        return float(each.loc[of.index].sum() / each.sum()) if each.sum() else float("nan")
