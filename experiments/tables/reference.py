"""What differences are taken from: a policy or a system, or one value of any setting; and which runs make a pair."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from experiments.tables.labels import labelled, of_axis, settings_of, shown, varying

DEFAULT = "fifo"
REPLAY = "inputs.replay"  # the digest of the requests that a run replayed
OF_TRACE = ("trace", "load")  # along these the requests differ by what is asked
UNQUOTED = re.compile(r"^(\+{0,2}(?:reference|load_of)=)([^'\"]+=[^'\"]*)$")


@dataclass(frozen=True, slots=True)
class Reference:
    """The runs with `value` on `axis` (`policy/routing=gpu`); without an axis, of the policy or system `value`."""

    value: str
    axis: str = ""

    @classmethod
    def of(cls, text: object) -> Reference:
        """From `fifo`, `policy/routing=gpu` or `trace.rate=4`; from None, the policy or system fifo."""
        axis, equals, value = str(DEFAULT if text is None else text).partition("=")
        axis, value = (axis.strip(), value.strip()) if equals else ("", axis.strip())
        return cls(value, "" if axis in ("policy", "system") else axis)

    def __str__(self) -> str:
        return f"{self.axis}={self.value}" if self.axis else self.value

    @property
    def of_trace(self) -> bool:
        """Whether runs differ along it in what they replay, as they should."""
        return self.axis.split(".")[0].split("/")[0] in OF_TRACE

    def labelled(self, table: pd.DataFrame) -> pd.DataFrame:
        """`table` with each run's name as its policy; what one part on the axis was swept over is said beside it.

        Unless the reference was swept over it too.
        """
        table = labelled(table, self.value, self.axis)
        swept = self._swept(table)
        for name in self._of_parts(table):
            several = table.groupby(self.axis, dropna=False)[name].transform("nunique", dropna=False) > 1
            if name not in swept and several.any():
                text = f" {name.rpartition('.')[2]}=" + table[name].map(shown)
                table = table.assign(**{self.axis: table[self.axis].map(shown) + text.where(several, "")})
        return table

    def groups(self, table: pd.DataFrame) -> list[str]:
        """The settings at whose equal values the runs of a labelled table are compared."""
        return [*varying(table, self.axis), *self._swept(table)]

    def _of_parts(self, table: pd.DataFrame) -> list[str]:
        """The settings of what is chosen on the axis: `policy.routing.limits` of policy/routing."""
        if self.axis not in table:
            return []
        return [name for name in settings_of(table) if name != self.axis and of_axis(name, self.axis)]

    def _swept(self, table: pd.DataFrame) -> list[str]:
        """Those of them in which the reference's own runs differ."""
        of_parts = self._of_parts(table)
        return [name for name in of_parts if table.loc[self.holds(table), name].map(shown).nunique() > 1]

    def holds(self, table: pd.DataFrame) -> pd.Series:
        """Which runs of a labelled table are the reference's."""
        column = table[self.axis or "policy"]
        try:
            return pd.to_numeric(column, errors="coerce") == float(self.value)
        except ValueError:
            return column.map(shown).str.lower() == self.value.lower()

    def absent(self, table: pd.DataFrame) -> str:
        """Why no difference can be taken in a labelled table, and what there is; empty if one can."""
        if self.axis and self.axis not in settings_of(table):
            others = [name for name in settings_of(table) if name != "seed" and table[name].nunique(dropna=False) > 1]
            there = f"they differ in {', '.join(others)}" if others else "they differ in nothing but the seed"
            return f"no difference: reference={self}, but no run says its {self.axis}; {there}"
        if self.holds(table).any():
            return ""
        there = ", ".join(dict.fromkeys(table[self.axis or "policy"].map(shown)))
        return f"no difference: no run is of reference={self}; {self.axis or 'there'} is {there}"

    def partners(self, table: pd.DataFrame, groups: Sequence[str]) -> pd.Series:
        """For each run of a labelled table the index of the reference's run of its seed with equal settings.

        NaN where there is none. ValueError if there are two.
        """
        held = self.holds(table)
        keys = [*groups, "seed"]
        if self.axis:
            ours = [name for name in settings_of(table) if name not in (self.axis, "system")]
            below = [name for name in ours if of_axis(name, self.axis) and table.loc[held, name].isna().all()]
            keys = [name for name in ours if name not in below]
        key = table[keys].map(shown).agg("\n".join, axis=1)
        bases = key[held]
        if bases.duplicated().any():
            twice = table.loc[bases[bases.duplicated(keep=False)].index[:2], "run"].tolist()
            raise ValueError(f"cannot pair by seed: runs {twice[0]} and {twice[1]} are both reference={self}")
        return key.map(pd.Series(bases.index, index=bases))


def same_requests(table: pd.DataFrame, partners: pd.Series) -> pd.Series:
    """Which runs replayed the requests of their partner in `table` (all, where it has no digests)."""
    if REPLAY not in table:
        return pd.Series(True, index=partners.index)
    ours, theirs = table.loc[partners.index, REPLAY], table.loc[partners, REPLAY].set_axis(partners.index)
    return (ours == theirs) | ours.isna() | theirs.isna()


def quoted(arguments: Sequence[str]) -> list[str]:
    """A command line on which `reference=a=b` and `load_of=a=b` have the quotes that Hydra wants around an `=`."""
    return [UNQUOTED.sub(r"\1'\2'", argument) for argument in arguments]
