"""The run state of one request."""

from __future__ import annotations

import math
from typing import Any, Protocol

from sim.prediction import Prediction
from sim.request import Request

NOWHERE = -1  # the replica of a job that was not sent to one


class Saying(Protocol):
    """What a predictor says as an answer goes on: see `sim.policy.Predictor`."""

    def refine(self, request: Request, prediction: Prediction, emitted: int) -> float: ...

    def refined_at(self, emitted: int) -> float: ...

    def renew(self, request: Request, prediction: Prediction, calls: int) -> Prediction: ...


class Once:
    """A predictor that has said all it will."""

    def refine(self, request: Request, prediction: Prediction, emitted: int) -> float:
        """The rest of what it said."""
        left = prediction.length - emitted
        return left if left > 0.0 else 0.0

    def refined_at(self, emitted: int) -> float:
        """Never."""
        return math.inf

    def renew(self, request: Request, prediction: Prediction, calls: int) -> Prediction:
        """The same."""
        return prediction


ONCE = Once()


class Paced(Protocol):
    """What the passes make of a job that emits several tokens in one, or none: see `sim.engine.pace`."""

    def after(self, tick: int) -> int: ...

    def begun(self, tick: int) -> tuple[int, int]: ...

    @property
    def due(self) -> int: ...


class Ticker:
    """What decodes jobs together, a token each at every tick.

    `tick` is how many have passed, or at least begun: in the last `ahead` of them the tokens are on their way.
    """

    __slots__ = ("ahead", "tick")

    def __init__(self, ahead: int = 0) -> None:
        self.tick = 0
        self.ahead = ahead


class Job:
    """A request in the system: `context` tokens exist, `computed` of them have their KV on a device.

    Only a replica's plan and commit change it. Instants are seconds, None until they come. While a job decodes in
    lockstep nothing of it is written: its progress is derived from the lockstep's tick.
    """

    __slots__ = (
        "admission",  # the number of its admission, 0 if it does not run: running jobs stand in this order
        "ahead",  # tokens of it that are on their way, while it is in no lockstep
        "base_computed",  # tokens computed before the job joined the lockstep
        "base_emitted",  # output tokens emitted before it joined, those on their way included
        "base_passes",  # of several tokens, or none, in which it took part before it joined
        "base_proposed",  # tokens that were proposed to it in those
        "blocks",  # KV blocks held on the device, as of then
        "cached_runs",  # those of them that are full and shared by their content, by runs
        "call_seconds",  # that its calls took, so far as they are over
        "calls",  # that it has begun so far
        "dropped_tokens",  # computed, whose KV was dropped when it had to stop or wait
        "ends_at",  # the output tokens after which it calls next, or is through: the truth, for the engine alone
        "entered",  # the lockstep's tick less the tokens emitted: emitted = tick - entered
        "finished",
        "first_scheduled",
        "first_token",
        "foreseen",  # what is to become of its KV at its next call, if the eviction has said so
        "found",  # jobs that waited at its first replica when it came there
        "given",  # tokens of its context that it did not emit: its prompt, and what its calls have returned
        "host_tokens",  # tokens whose KV lies in host memory
        "lockstep",  # the ticker of those with which it decodes
        "longest_stop",  # from when it was stopped amid its answer to its next token, s
        "moved_tokens",  # whose KV was copied to the host or back
        "note",  # what an order that takes notes keeps of it
        "overhead_seconds",  # scheduler time spent while the job was in a replica
        "pace",  # its passes, as long as it runs where they emit several tokens, or none
        "padding",  # tokens that widen its row to that of the widest in a static batch
        "paused",  # when the call began for which it waits, s
        "predicted",  # what was predicted when it came
        "prediction",  # what is predicted now
        "predictor",  # who takes back what it said, as tokens come and calls return
        "preemptions",
        "prefill_only",  # this leg ends with the first token
        "queued",
        "renewed_seconds",  # that predictions took which were made anew as calls returned
        "replica",  # the index of the one where the current leg is
        "request",
        "resumed",  # when its last call was over, s
        "routing_seconds",  # that it waited for the router, s
        "stopped",  # when it was last stopped amid its answer, until its next token
        "told",  # what a cache that shares prefixes keeps of its content
        "true_pauses",  # its calls: the truth, for the engine alone
        "true_tokens",  # the output tokens of its answer: the truth, for the engine alone
    )

    def __init__(self, request: Request, prediction: Prediction, predictor: Saying = ONCE) -> None:
        self.request = request
        self.prediction = self.predicted = prediction
        self.predictor = predictor
        self.replica = NOWHERE
        self.given = request.prompt_tokens
        truth = request.truth
        self.true_tokens = truth.output_tokens
        self.true_pauses = truth.pauses
        self.ends_at = truth.pauses[0].emitted if truth.pauses else self.true_tokens
        self.lockstep: Ticker | None = None
        self.base_computed = self.base_emitted = self.entered = self.padding = self.admission = self.ahead = 0
        self.blocks = self.host_tokens = self.preemptions = self.calls = self.found = 0
        self.base_passes = self.base_proposed = self.moved_tokens = self.dropped_tokens = 0
        self.pace: Any = None
        self.cached_runs: Any = ()
        self.prefill_only = False
        self.note: Any = None
        self.told: Any = None
        self.foreseen: Any = None
        self.overhead_seconds = self.longest_stop = self.call_seconds = self.renewed_seconds = 0.0
        self.routing_seconds = 0.0
        self.stopped: float | None = None
        self.paused: float | None = None
        self.resumed: float | None = None
        self.queued: float | None = None
        self.first_scheduled: float | None = None
        self.first_token: float | None = None
        self.finished: float | None = None

    def answered(self, request: Request, prediction: Prediction) -> None:
        """Its `request` is that with the answer of the model to which it goes, of which it is predicted."""
        self.request = request
        self.true_tokens = self.ends_at = request.truth.output_tokens
        self.true_pauses = request.truth.pauses
        self.prediction = self.predicted = prediction

    @property
    def runs(self) -> bool:
        """Whether it is in a replica's batch."""
        return self.admission > 0

    @property
    def emitted(self) -> int:
        """Output tokens emitted so far."""
        lockstep = self.lockstep
        if lockstep is None:
            return self.base_emitted - self.ahead
        if self.pace is not None:
            return self._paced(self.pace)
        emitted, most = lockstep.tick - self.entered - lockstep.ahead, self.ends_at
        return emitted if emitted < most else most

    @property
    def awaited(self) -> bool:
        """Whether the end of its leg starts something elsewhere: its next leg, or the next of its session."""
        return self.prefill_only or self.request.think is not None

    @property
    def context(self) -> int:
        """Tokens that exist or are on their way: given, sampled and, in a static batch, padding."""
        if self.lockstep is None:
            return self.given + self.padding + self.base_emitted
        if self.pace is not None:
            return self.given + self._paced(self.pace)
        return self.given + self.padding + self.lockstep.tick - self.entered

    def _paced(self, pace: Paced) -> int:
        assert self.lockstep is not None
        return pace.after(self.lockstep.tick)

    @property
    def computed(self) -> int:
        """Tokens whose KV is computed, or on its way."""
        return self.base_computed if self.lockstep is None else self.context - 1

    @property
    def pending(self) -> int:
        """Tokens that exist and are not yet computed: more than one is prefill, one is decode."""
        return 1 if self.lockstep is not None else self.given + self.padding + self.base_emitted - self.base_computed

    @property
    def passes(self) -> int:
        """In which it took part where a pass emits several tokens, or none."""
        if self.lockstep is None or self.pace is None:
            return self.base_passes
        return self.base_passes + int(self.pace.begun(self.lockstep.tick)[0])

    @property
    def proposed_tokens(self) -> int:
        """Proposed to it in those beyond the tokens that it owed."""
        if self.lockstep is None or self.pace is None:
            return self.base_proposed
        return self.base_proposed + int(self.pace.begun(self.lockstep.tick)[1])

    @property
    def due(self) -> int:
        """Tokens of its next pass, while it is in no lockstep: those pending, and what is proposed beyond them."""
        return self.pending if self.pace is None else self.pace.due

    @property
    def remaining(self) -> float:
        """Output tokens that are predicted to be left; the predictor is asked anew as they come."""
        emitted = self.emitted
        return self.predictor.refine(self.request, self.prediction, emitted) if emitted else self.prediction.length

    def refined_at(self, emitted: int) -> float:
        """After how many tokens its predictor may next say that more is to come than it says after `emitted`."""
        return self.predictor.refined_at(emitted)

    @property
    def calls_out(self) -> bool:
        """Whether it has emitted the last token before its next call, as far as is written down."""
        return self.base_emitted == self.ends_at and self.ends_at < self.true_tokens

    def call(self, now: float) -> float:
        """Its next call begins at `now` (s): how long it waits for it, the prediction that is made anew included."""
        pause = self.true_pauses[self.calls]
        self.paused = now
        self.calls += 1
        if self.stopped is not None:  # the token before the call was on its way when the job had to stop
            self.longest_stop, self.stopped = max(self.longest_stop, now - self.stopped), None
        renewed = self.predictor.renew(self.request, self.prediction, self.calls)
        return pause.seconds + (0.0 if renewed is self.prediction else renewed.seconds)

    def resume(self, now: float) -> None:
        """Its call is over, and what that returned is here: at `now` (s) it is to wait."""
        pauses = self.true_pauses
        pause = pauses[self.calls - 1]
        self.given += pause.returned
        self.call_seconds += pause.seconds
        self.ends_at = pauses[self.calls].emitted if self.calls < len(pauses) else self.true_tokens
        renewed = self.predictor.renew(self.request, self.prediction, self.calls)
        if renewed is not self.prediction:
            self.prediction, self.renewed_seconds = renewed, self.renewed_seconds + renewed.seconds
        self.paused, self.resumed = None, now

    @property
    def complete(self) -> bool:
        """Whether every token of the true output has been emitted."""
        return self.emitted >= self.true_tokens

    def __repr__(self) -> str:
        return f"Job(id={self.request.id}, context={self.context}, computed={self.computed}, emitted={self.emitted})"
