"""Claims of papers, a record each, beside what comes out here: the verdict is computed, and what was found is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:  # pandas and scipy: the command line looks in here for its first line
    from experiments.tables.stats import Interval


class Found(NamedTuple):
    """Our value for a claim, with its 95 % interval, and `where`: the setting that it is of ("" for the only one)."""

    where: str
    value: Interval
