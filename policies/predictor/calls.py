"""Calls predicted one by one, as LAMPS predicts them: the next one when a request comes, and anew when one returns.

A prediction names the calls that have returned, as they were, and the next one; whatever comes after it is a part of
the answer that is left. Equal seeds give equal predictions, whatever the order of the questions.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from policies.predictor.draws import normal
from policies.predictor.oracle import OraclePredictor
from sim.policy import Predictor
from sim.prediction import PredictedPause, Prediction
from sim.request import Request

ORACLE = OraclePredictor()
LEAST_TOKENS, LEAST_SECONDS = 1.0, 1e-9  # of a prediction [R]; of what is less in truth, the truth


class CallByCall(Predictor):
    """What is said of a next call and of the answer after it, for `seconds` (s) each time; `said` is the part's own."""

    __slots__ = ()
    seconds: float

    def predict(self, request: Request) -> Prediction:
        """The first call, and the answer's length, tokens."""
        return self.renew(request, Prediction(0.0, 0.0), 0)

    def renew(self, request: Request, prediction: Prediction, calls: int) -> Prediction:
        """The call after the first `calls`, and the answer's length, tokens."""
        truth = ORACLE.predict(request)
        past, start = truth.pauses[:calls], truth.pauses[calls - 1].emitted if calls else 0.0
        if calls == len(truth.pauses):
            length = start + self.said(request, calls, truth.length - start)
            return Prediction(length, length, self.seconds, pauses=past)
        true = truth.pauses[calls]
        call = self.call(request, calls, true._replace(emitted=true.emitted - start))
        call = call._replace(emitted=start + call.emitted)
        length = call.emitted + self.said(request, calls + 1, truth.length - true.emitted)
        return Prediction(length, length, self.seconds, pauses=(*past, call))

    @abstractmethod
    def said(self, request: Request, calls: int, tokens: float) -> float:
        """Of the `tokens` that follow the first `calls` calls, until the next or the end."""

    @abstractmethod
    def call(self, request: Request, calls: int, true: PredictedPause) -> PredictedPause:
        """Of the call after the first `calls`; `emitted` is counted from the last of these."""


@dataclass(frozen=True, slots=True)
class CallErrors(CallByCall):
    """The truth x plus Gaussian noise of standard deviation error * x, as LAMPS injects it into its predictions [R].

    `length_error` is that of tokens until a call or the end, `duration_error` of a call's seconds, `response_error` of
    the tokens that it returns. Errors are drawn anew for each call, and at least 1 token and 1e-9 s are said.
    """

    length_error: float
    duration_error: float
    response_error: float
    seed: int
    seconds: float

    def __post_init__(self) -> None:
        for name in ("length_error", "duration_error", "response_error", "seconds"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be finite and not negative, got {getattr(self, name)}")

    def said(self, request: Request, calls: int, tokens: float) -> float:
        """With its error."""
        return self._drawn(request, calls, 0, tokens, self.length_error, LEAST_TOKENS)

    def call(self, request: Request, calls: int, true: PredictedPause) -> PredictedPause:
        """With its errors."""
        return PredictedPause(
            self.said(request, calls, true.emitted),
            self._drawn(request, calls, 1, true.seconds, self.duration_error, LEAST_SECONDS),
            self._drawn(request, calls, 2, true.returned, self.response_error, LEAST_TOKENS),
        )

    def _drawn(self, request: Request, calls: int, what: int, true: float, error: float, least: float) -> float:
        noise = error * true * normal(self.seed, request.id, calls, what) if error else 0.0
        return max(min(least, true), true + noise)


@dataclass(frozen=True, slots=True)
class CallClasses(CallByCall):
    """LAMPS's own two predictors: classes of tokens, and the mean duration of each kind of call.

    Tokens until a call or the end are in one of `classes` classes of `width` tokens, of which the middle is said: it is
    taken to be the right class [A]. `known` has the mean seconds and returned tokens of calls by `Request.task`,
    `everyone` those of all (None: there was none).
    """

    classes: int
    width: float
    known: Mapping[str, tuple[float, float]]
    everyone: tuple[float, float] | None
    seconds: float

    def __post_init__(self) -> None:
        for name in ("classes", "width"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")

    def said(self, request: Request, calls: int, tokens: float) -> float:
        """The middle of its class."""
        return (min(tokens // self.width, self.classes - 1) + 0.5) * self.width

    def call(self, request: Request, calls: int, true: PredictedPause) -> PredictedPause:
        """The middle of its class, and the means of its kind; ValueError if no call was ever seen."""
        means = self.known.get(request.task, self.everyone) if request.task is not None else self.everyone
        if means is None:
            raise ValueError(f"request {request.id} calls out, and none did that the predictor was fitted to")
        return PredictedPause(self.said(request, calls, true.emitted), *means)


def fit_call_classes(
    requests: Sequence[Request],
    answers: Sequence[Sequence[int]],
    *,
    classes: int,
    width: float,
    seconds: float,
) -> CallClasses:
    """The means of the training requests' calls, by their task and of all."""
    kinds: dict[str | None, list[PredictedPause]] = {}
    for request in requests:
        for pause in ORACLE.predict(request).pauses:
            for kind in dict.fromkeys((None, request.task)):
                kinds.setdefault(kind, []).append(pause)
    means = {
        kind: (sum(call.seconds for call in calls) / len(calls), sum(call.returned for call in calls) / len(calls))
        for kind, calls in kinds.items()
    }
    everyone = means.pop(None, None)
    return CallClasses(classes, width, {str(kind): mean for kind, mean in means.items()}, everyone, seconds)
