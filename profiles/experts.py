"""What the experts of a mixture cost: tokens drawn to them, those that are activated, and what ranks exchange."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from profiles.collective import Collective
from profiles.kernel_tables import Grid, nest, read_rows

AXES = ("tokens", "activated_experts")
PARTS = 8  # between measured numbers of tokens it is taken at so many places


def activated_share(per_token: int, count: int, tokens: float) -> float:
    """The share of `count` experts that is expected to be activated by so many tokens, each of which draws some."""
    return 1 - (1 - per_token / count) ** tokens


@dataclass(frozen=True, slots=True)
class Experts:
    """The mixture of each layer: every token is sent to `per_token` of `count` experts, whose times are in `table`.

    `table` is a csv by AXES. Each token draws its experts uniformly and without regard to the others [A]: a trained
    router is less even, and activates fewer. Of as many draws as there are layers in a step the mean counts, and the
    measured times are linear in the activated experts but for the fewest, so the expected number stands for them: it is
    the same whenever a step is priced.

    `ranks` devices hold equal shares of the experts, and each has tokens of its own (data parallel with expert
    parallel). A rank computes what all of them send to its experts, which is as many tokens as each has on average, at
    `per_token` of its own experts. By the `collective` each gathers the `hidden` columns of everybody's tokens,
    `element_bytes` each, and afterwards as many results are added up and scattered, as vLLM's default does
    (allgather_reducescatter), which moves as many bytes and takes as long [D].
    """

    table: str | Path
    count: int
    per_token: int
    ranks: int = 1
    hidden: int = 0
    element_bytes: int = 2
    collective: Collective | None = None

    def __post_init__(self) -> None:
        if not 0 < self.per_token <= self.count:
            raise ValueError(f"experts.per_token must be from 1 to count={self.count}, got {self.per_token}")
        if self.ranks < 1 or self.count % self.ranks:
            raise ValueError(f"experts.count={self.count} must divide among the ranks, got {self.ranks}")
        if self.ranks > 1 and (self.collective is None or self.hidden < 1):
            raise ValueError(
                f"{self.ranks} ranks exchange tokens at every layer, and nothing says how long that takes: "
                f"experts.collective is {self.collective} and experts.hidden {self.hidden}"
            )

    def activated(self, tokens: float) -> float:
        """Experts of a rank that are expected to be activated when each rank has so many tokens."""
        return self.count / self.ranks * activated_share(self.per_token, self.count, tokens * self.ranks)

    def exchange_seconds(self, tokens: float) -> float:
        """Seconds until each of the ranks, which have so many tokens on average, has sent its own and got them back."""
        if self.collective is None or self.ranks == 1:
            return 0.0
        return 2 * self.collective.all_gather(self.ranks * tokens * self.hidden * self.element_bytes, self.ranks)

    def grid(self) -> Grid:
        """Seconds of one layer by the tokens of a rank; ValueError names the file and what was not measured."""
        measured = nest(sorted(read_rows(Path(self.table), "", AXES)[""]), AXES)
        pairs = pairwise(measured.knots)
        knots = [since + (until - since) * part / PARTS for since, until in pairs for part in range(PARTS)]
        knots.append(measured.knots[-1])
        try:
            seconds = tuple(self._computing(measured, tokens) + self.exchange_seconds(tokens) for tokens in knots)
        except ValueError as error:
            raise ValueError(f"{self.table}: {error}, of {self.count} experts, {self.per_token} a token") from None
        return Grid(AXES[0], tuple(knots), seconds)

    def _computing(self, measured: Grid, tokens: float) -> float:
        """Seconds of the experts' work: from one number of tokens to the next, at equal shares of the most active."""
        share = self.activated(tokens) / self._most(tokens)
        at = bisect_left(measured.knots, tokens)
        beside = range(max(0, at - 1), at + 1)
        places = [(float(knot), share * self._most(knot)) for knot in (measured.knots[number] for number in beside)]
        seconds = [measured.at(*place) for place in places]
        return Grid(AXES[0], tuple(knot for knot, _ in places), tuple(seconds)).at(tokens)

    def _most(self, tokens: float) -> float:
        """The most experts that so many tokens can activate."""
        return min(self.count / self.ranks, self.per_token * tokens)
