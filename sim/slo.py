"""Service level objectives: bounds on what requests see, and how many requests, a second, stay within them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.gaps import Gaps
from sim.metrics import measured_window, response_time, throughput, throughput_overall, tpot, ttft
from sim.record import Table

Mask = NDArray[np.bool_]
METRICS = ("ttft", "tpot", "itl", "e2e")
BOUND = re.compile(rf"({'|'.join(METRICS)})(?:_p(\d{{1,4}}))?")
KNOWN = "slo.METRIC (of each request) and slo.METRIC_pNN (of a percentile), METRIC one of " + ", ".join(METRICS)
LABELS = ("task", "client")  # of a trace's requests, by which there may be classes


@dataclass(frozen=True, slots=True)
class Bound:
    """At most so many `seconds`: of each request or, with a `percent`, of that percentile of all of them."""

    name: str
    metric: str
    seconds: float
    percent: float | None = None

    @classmethod
    def of(cls, name: str, value: Any, where: str = "slo") -> Bound:
        """From `ttft_p99` and its seconds: p999 is the 99.9th percentile, p100 the maximum. ValueError for no bound."""
        match = BOUND.fullmatch(name)
        if match is None:
            raise ValueError(f"{where}.{name}={value}: no such bound; there are {KNOWN}, slo.attainment and slo.by")
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
            raise ValueError(f"{where}.{name}={value} must be a number of seconds above 0")
        digits = match[2]
        percent = None if digits is None else 100.0 if digits == "100" else float(f"{digits[:2]}.{digits[2:] or 0}")
        if percent == 0 or (digits and len(digits) > 2 and percent is not None and percent < 50):
            why = "there are p1 to p100 and, with tenths, p501 to p9999; p50 is the median, p999 the 99.9th"
            raise ValueError(f"{where}.{name}={value}: no such percentile; {why}")
        return cls(name, match[1], float(value), percent)


@dataclass(frozen=True, slots=True)
class Found:
    """What a run made of one `bound` of one class ("": there are none): the percentile that is bounded, s.

    Infinite where so many were rejected or did not finish.
    """

    bound: Bound
    of: str
    seconds: float

    @property
    def holds(self) -> bool:
        """Whether it is within the bound."""
        return self.seconds <= self.bound.seconds

    @property
    def name(self) -> str:
        """`ttft_p99`, or with a class `chat.ttft_p99`."""
        return f"{self.of}.{self.bound.name}" if self.of else self.bound.name


@dataclass(frozen=True, slots=True)
class Met:
    """Which requests of a table met all bounds, what became of each bounded percentile, and of the share that is asked.

    `attainment` and `goodput` (requests/s) are of the measured window, by class in `attainments` and `goodputs`.
    """

    good: Mask
    found: tuple[Found, ...]
    attainment: float
    goodput: float
    goodput_overall: float
    attainments: dict[str, float]
    goodputs: dict[str, float]
    holds: bool


@dataclass(frozen=True, slots=True)
class Slo:
    """Bounds, in general and, `by` task or client, of classes; and the share of requests that is to meet those of each.

    A class keeps what is said in general where it has no bound of that name itself, and is judged alone.
    """

    bounds: tuple[Bound, ...]
    by: str | None = None
    classes: Mapping[str, tuple[Bound, ...]] | None = None
    share: float | None = None

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Slo:
        """From the settings `slo.`: ValueError, which names it, for one that is none."""
        given = {str(name): value for name, value in settings.items() if value is not None}
        by, classes, share = given.pop("by", None), given.pop("classes", {}), given.pop("attainment", None)
        if by is not None and by not in LABELS:
            raise ValueError(f"slo.by={by} must be {' or '.join(LABELS)}, columns of a trace, or null")
        if not isinstance(classes, Mapping):
            raise ValueError(f"slo.classes={classes} must hold bounds by class: slo.classes.chat.ttft_p99=0.5")
        if classes and by is None:
            raise ValueError(f"slo.classes.{next(iter(classes))}: say what a class is, slo.by={' or '.join(LABELS)}")
        if share is not None and (isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1):
            raise ValueError(f"slo.attainment={share} must be a share of the requests, above 0 and at most 1")
        of_class = {}
        for one, own in classes.items():
            if not isinstance(own, Mapping):
                raise ValueError(f"slo.classes.{one}={own} must hold bounds: slo.classes.{one}.ttft_p99=0.5")
            of_class[str(one)] = tuple(Bound.of(str(name), value, f"slo.classes.{one}") for name, value in own.items())
        bounds = tuple(Bound.of(name, value) for name, value in given.items())
        if not bounds and not any(of_class.values()):
            raise ValueError(f"slo bounds nothing: there are {KNOWN}")
        return cls(bounds, by, of_class, share)

    @property
    def needs_gaps(self) -> bool:
        """Whether inter-token latency is bounded, for which steps must be recorded."""
        return "itl" in self.metrics

    @property
    def metrics(self) -> set[str]:
        """What is bounded, of anybody."""
        return {bound.metric for bound in self._all()}

    @property
    def decides(self) -> bool:
        """Whether it says of a run that it holds: of a percentile, or of the share of its requests."""
        return self.share is not None or any(bound.percent is not None for bound in self._all())

    def _all(self) -> Iterator[Bound]:
        yield from self.bounds
        for own in (self.classes or {}).values():
            yield from own

    def of_class(self, name: str) -> tuple[Bound, ...]:
        """The bounds of a class: its own, and those in general whose name it has none of."""
        own = (self.classes or {}).get(name, ())
        return (*own, *(bound for bound in self.bounds if bound.name not in {one.name for one in own}))

    def __str__(self) -> str:
        def said(bounds: tuple[Bound, ...]) -> str:
            return ", ".join(f"{bound.name} <= {bound.seconds:g} s" for bound in bounds)

        parts = [said(self.bounds)] if self.bounds else []
        parts += [f"{name}: {said(own)}" for name, own in (self.classes or {}).items()]
        parts += [f"each {self.by} alone"] if self.by else []
        parts += [f"at least {100 * self.share:g} % of the requests within"] if self.share is not None else []
        return "; ".join(parts)

    def met(self, requests: Table, warmup: float, gaps: Gaps | None = None) -> Met:
        """What `requests` made of the bounds: of those that arrived in the measured window, as all metrics.

        Whoever was rejected, or is unfinished, meets none. ValueError where the trace has no such classes, or where a
        bounded metric was not seen.
        """
        window = measured_window(requests, warmup)
        came = (requests["arrival"] >= window[0]) & (requests["arrival"] <= window[1])
        classes = self._classes(requests)
        times = self._times(requests, gaps)
        good = np.zeros(len(came), bool)
        found: list[Found] = []
        for name, rows in classes.items():
            bounds = self.of_class(name)
            good |= rows & _within(bounds, requests, times)
            found += [
                Found(bound, name, _percentile(bound, rows & came, requests, times, gaps))
                for bound in bounds
                if bound.percent is not None
            ]
        attainments = {name: float(good[rows & came].mean()) for name, rows in classes.items() if (rows & came).any()}
        per_second = {name: _per_second(requests, good & rows, window) for name, rows in classes.items()}
        shares = self.share is None or all(value >= self.share for value in attainments.values())
        everybody = float(good[came].mean()) if came.any() else math.nan
        return Met(
            good,
            tuple(found),
            everybody,
            _per_second(requests, good, window),
            throughput_overall(requests)[0] * float(good.sum() / max(1, (requests["status"] == "finished").sum())),
            attainments if self.by else {},
            per_second if self.by else {},
            bool(came.any()) and shares and all(one.holds for one in found),
        )

    def _classes(self, requests: Table) -> dict[str, Mask]:
        """Of each class its rows; without classes one, "", of all."""
        if self.by is None:
            return {"": np.ones(len(requests["arrival"]), bool)}
        if self.by not in requests:
            raise ValueError(f"slo.by={self.by}: the requests of this trace have no {self.by}")
        labels = requests[self.by].astype(str)
        names = [str(name) for name in np.unique(labels)]
        if unknown := [name for name in self.classes or {} if name not in names]:
            raise ValueError(
                f"slo.classes.{unknown[0]}: no request of this trace is of that {self.by}; there are {', '.join(names)}"
            )
        return {name: labels == name for name in names}

    def _times(self, requests: Table, gaps: Gaps | None) -> dict[str, NDArray[np.float64]]:
        """Of each metric that is bounded, what each request saw, s; ValueError if it was not seen of all."""
        metrics = self.metrics
        finished = requests["status"] == "finished"
        hidden = finished & np.isnan(requests["first_token"])
        if metrics & {"ttft", "tpot"} and hidden.any():
            raise ValueError(
                f"slo.{min(metrics & {'ttft', 'tpot'})}: of {int(hidden.sum()):,} of {int(finished.sum()):,} finished "
                "requests no first token was seen, as of static batches: policy/batching=continuous shows it; slo.e2e "
                "bounds the response time"
            )
        times = {"e2e": response_time(requests), "ttft": ttft(requests), "tpot": tpot(requests)}
        if "itl" in metrics:
            if gaps is None:
                raise ValueError("slo.itl: the gaps between tokens are seen with record=steps or jobs alone")
            if unseen := int((finished & ~gaps.seen).sum()):
                raise ValueError(
                    f"slo.itl: of {unseen:,} of {int(finished.sum()):,} finished requests the gaps between tokens are "
                    "not seen, for they got none in some step, or several in one; record=jobs sees more of them than "
                    "record=steps: bound slo.tpot"
                )
            times["itl"] = gaps.longest
        return {name: values for name, values in times.items() if name in metrics}


def _per_second(requests: Table, rows: Mask, window: tuple[float, float]) -> float:
    """Those of `rows` that finish in `window`, per second of it; NaN where nobody could: see `throughput`."""
    if math.isnan(throughput(requests, window)[0]):
        return math.nan
    ended = rows & (requests["finished"] >= window[0]) & (requests["finished"] <= window[1])
    return float(ended.sum() / (window[1] - window[0]))


def _within(bounds: tuple[Bound, ...], requests: Table, times: Mapping[str, NDArray[np.float64]]) -> Mask:
    """Which finished within all bounds. A request has one for each metric: of several the one of itself, else the one
    of the highest percentile. An answer of one token has no TPOT, and meets any."""
    good = np.asarray(requests["status"] == "finished")
    for metric in {bound.metric for bound in bounds}:
        own = [bound for bound in bounds if bound.metric == metric]
        bound = max(own, key=lambda one: math.inf if one.percent is None else one.percent)
        good = good & ((times[metric] <= bound.seconds) | (np.isnan(times[metric]) if metric == "tpot" else False))
    return good


def _percentile(
    bound: Bound, rows: Mask, requests: Table, times: Mapping[str, NDArray[np.float64]], gaps: Gaps | None
) -> float:
    """The percentile of `bound` over the requests of `rows`, those that did not finish being later than all."""
    assert bound.percent is not None
    finished = rows & (requests["status"] == "finished")
    values = times[bound.metric][finished]
    values = values[~np.isnan(values)]
    count, missing = len(values), int((rows & ~finished).sum())
    if not count + missing:
        return 0.0  # nobody whom it could be too long for
    if math.ceil((count + missing - 1) * bound.percent / 100) >= count:
        return math.inf
    if bound.metric == "itl":
        assert gaps is not None
        return gaps.percentile(finished, bound.percent)
    later = np.full(missing, values.max())  # their places count, and no value of theirs
    return float(np.percentile(np.concatenate([values, later]), bound.percent))
