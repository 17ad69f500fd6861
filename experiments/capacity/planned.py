"""What a plan found: all candidates, why the winner wins, the ratios; as text, csv and figure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from experiments.capacity.binding import words
from experiments.capacity.candidates import FREE
from experiments.capacity.figure import bounded, label
from experiments.capacity.planning import Judged, Planner
from experiments.capacity.report import spelled
from experiments.capacity.search import Capacity
from experiments.capacity.tries import never, unservable, worst
from experiments.figures.style import OTHER_COLORS, OTHER_MARKERS, RC, sheet
from experiments.run.written import write_whole

HOUR = 3600.0  # s
DEAR = 2.0  # times the winner, beyond which a candidate is not printed
SHIFT = 0.06  # between neighbouring lines, devices
Ratios = tuple[tuple[float, Judged], ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What was judged for a load of `rate` requests/s, the winner and what that carries, and the ratios by link."""

    planner: Planner
    rate: float
    winner: Judged | None
    capacity: Capacity | None
    ratios: Ratios

    def dollars(self, one: Judged) -> float:
        """What an hour of a candidate costs."""
        return one.candidate.dollars(self.planner.prices)

    def tried(self) -> str:
        """What was tried, as text: it is known before the capacity of the winner is searched for."""
        planner = self.planner
        slo = planner.base.system.slo
        used = sorted({device for one in planner.own() for _, device, _ in one.candidate.devices})
        lines = [
            f"cheapest cluster for {self.rate:g} requests/s with {slo}, in each of {len(planner.seeds)} seeds",
            f"an hour of a device: {', '.join(f'{name} {planner.prices[name]}' for name in used)}",
            *(f"limits: {line}" for line in planner.limits),
            *["", *self._shown(), ""],
            *(f"not tried, for a cheaper one in two roles carries it: {text}" for text in planner.bounds),
            *(f"not enough: {text}" for text in planner.lacking),
        ]
        return "\n".join(lines)

    def told(self, seconds: float) -> str:
        """The rest of the answer: the winner, and the ratios."""
        planner = self.planner
        lines = self.why()
        if self.ratios:
            total = self.ratios[0][1].candidate.total
            lines += ["", f"every ratio of {total} devices", self.of_ratios().to_string(index=False)]
        runs = {tried.folder: tried.made for one in planner.judged.values() for tried in one.tries}
        made = sum(runs.values())
        lines.append(f"{len(runs)} runs, {made} made now and {len(runs) - made} kept from before, in {seconds:.0f} s")
        return "\n".join(lines)

    def _shown(self) -> list[str]:
        """The table of those that cost no more than `DEAR` times the winner, and how many others there are."""
        own = self.planner.own()
        near = [one for one in own if self.winner is None or self.dollars(one) <= DEAR * self.dollars(self.winner)]
        lines = [self.candidates(near).to_string(index=False)]
        if len(near) < len(own):
            lines.append(f"and {len(own) - len(near)} that cost more than {DEAR:g} times the winner: plan.csv has them")
        return lines

    def candidates(self, tried: Sequence[Judged]) -> pd.DataFrame:
        """A row for each of those `tried`, in their order."""
        return pd.DataFrame(
            {
                "devices": one.candidate.name,
                "$/h": f"{self.dollars(one):.2f}",
                "$/million": f"{self._million(one):.2f}",
                "seeds hold": f"{one.holding} of {len(one.tries)}",
                **{name: _mean(one, name) for name in one.tries[0].found},
                "misses": one.missed(),
                "binds": one.binds(),
            }
            for one in tried
        )

    def _million(self, one: Judged) -> float:
        """Dollars for a million requests at the load."""
        return 1e6 * self.dollars(one) / HOUR / self.rate

    def why(self) -> list[str]:
        """Why the winner wins: what it costs and carries, and what is wrong with those that cost no more."""
        if self.winner is None:
            trials = [tried for one in self.planner.own() for tried in one.tries]
            lacking = unservable(trials) if any(never(tried, worst(tried)) for tried in trials) else ""
            more = f"most=N allows more than {self.planner.most} devices of a role"
            return [f"nothing that was tried carries it: {lacking or more}"]
        price = self.dollars(self.winner)
        lines = [
            f"the winner: {self.winner.candidate.name}, ${price:.2f} an hour, ${self._million(self.winner):.2f} for a "
            "million requests"
        ]
        if self.capacity is not None and self.capacity.known:
            found = self.capacity.interval
            lines.append(
                f"it carries {spelled(found)} requests/s, {100 * (found.mean / self.rate - 1):+.1f} % of the load"
            )
            if found.mean - found.half_width < self.rate:
                lines.append("that interval has the load in it: other seeds may not hold")
        others = [one for one in self.planner.own() if one.carries and one is not self.winner]
        if others:
            lines.append(f"the next that carries it: {others[0].candidate.name}, ${self.dollars(others[0]):.2f}")
        missing = {one.candidate.kinds: one for one in self.planner.own() if one.evidence is not None}  # the largest
        for one in missing.values():
            assert one.evidence is not None
            lines.append(
                f"{one.candidate.name}, ${self.dollars(one):.2f}, misses {one.missed()} "
                f"({_mean(one, one.missed())}): {one.binds()} binds; {words([one.evidence])}"
            )
        return lines

    def of_ratios(self) -> pd.DataFrame:
        """A row for each ratio and link."""
        return pd.DataFrame(
            {
                "prefill:decode": ":".join(str(count) for _, _, count in one.candidate.devices),
                "link": _link(link),
                "seeds hold": f"{one.holding} of {len(one.tries)}",
                **{name: _mean(one, name) for name in one.tries[0].found},
                "within": f"{100 * np.mean([tried.attainment for tried in one.tries]):.1f} %",
                "misses": one.missed(),
            }
            for link, one in sorted(self.ratios, key=lambda row: (row[1].candidate.devices[0][2], -row[0]))
        )

    def stored(self, folder: Path) -> Path:
        """Write a row for each run of each candidate, those of the ratios among them; the file."""

        def row(one: Judged) -> dict[str, Any]:
            counts = {role or "together": f"{count} x {device}" for role, device, count in one.candidate.devices}
            return {**counts, "link": one.candidate.link, "dollars": self.dollars(one)}

        rows = [
            {**row(one), "seed": tried.seed, "holds": tried.holds, **tried.found, "attainment": tried.attainment,
             "run": Path(tried.folder).name}
            for one in self.planner.judged.values()
            for tried in one.tries
        ]  # fmt: skip
        write_whole(folder / "plan.csv", pd.DataFrame(rows).to_csv(index=False))
        return folder / "plan.csv"


def _mean(one: Judged, name: str) -> str:
    """The mean over seeds of what was found of a bound, s; of the share that is to be within, that."""
    values = [tried.found.get(name, tried.attainment) for tried in one.tries]
    return f"{np.mean(values):.3g}" if np.isfinite(values).all() else "never"


def _link(link: float) -> str:
    return "takes no time" if link == FREE else f"{link / 1e9:g} GB/s"


def draw(answer: Answer) -> Figure:
    """Each bounded metric against the devices that prefill, a line for each link."""
    candidate = answer.ratios[0][1].candidate
    names = list(answer.ratios[0][1].tries[0].found)
    kinds = " and ".join(f"{device} to {role}" for role, device, _ in candidate.devices)
    caption = (
        f"{candidate.total} devices ({kinds}) at {answer.rate:g} requests/s. Means over {len(answer.planner.seeds)} "
        "seeds, bars from the least to the most; what never came is not drawn. Each way of each pair of devices has a "
        "link of its own, on which the KV of one prompt after the other is sent."
    )
    links = dict.fromkeys(link for link, _ in answer.ratios)
    looks: dict[float, dict[str, Any]] = {
        link: {"color": color, "marker": marker}
        for link, color, marker in zip(links, OTHER_COLORS, OTHER_MARKERS, strict=False)
    }
    with mpl.rc_context(RC):
        figure, grid = sheet(1, len(names), 3.4, 2.2, caption)
        for axes, name in zip(grid[0], names, strict=True):
            for number, (link, how) in enumerate(looks.items()):
                own = [one for other, one in answer.ratios if other == link]
                places = [one.candidate.devices[0][2] + SHIFT * (number - (len(looks) - 1) / 2) for one in own]
                values = np.array([[tried.found[name] for tried in one.tries] for one in own])
                values[~np.isfinite(values)] = np.nan
                mean = values.mean(axis=1)
                bars = [mean - values.min(axis=1), values.max(axis=1) - mean]
                axes.errorbar(places, mean, yerr=bars, **how, linewidth=1.4, elinewidth=0.9)
            bounded(axes, {tried.bounds[name] for _, one in answer.ratios for tried in one.tries}, room=math.inf)
            axes.set(xlabel=f"devices that prefill, of {candidate.total}", ylabel=label(name))
            axes.set_xticks(range(1, candidate.total))
        handles = [Line2D([], [], label=_link(link), **how) for link, how in looks.items()]
        grid[0][-1].legend(
            handles=handles, title="link", loc="upper left", bbox_to_anchor=(1.03, 1.02), borderaxespad=0
        )
    return figure
