"""The run state of one request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.request import Prediction, Request

if TYPE_CHECKING:
    import simpy

    from sim.replica import Device


class Job:
    """A request in the system: `context` tokens exist, `computed` of them have their KV on a device.

    Only a replica's plan and commit change it. Instants are seconds, None until they come.
    """

    __slots__ = (
        "blocks",
        "computed",
        "context",
        "device",
        "done",
        "emitted",
        "finished",
        "first_scheduled",
        "first_token",
        "host_tokens",
        "overhead_seconds",
        "prediction",
        "preemptions",
        "prefill_only",
        "queued",
        "request",
    )

    def __init__(self, request: Request, prediction: Prediction) -> None:
        self.request = request
        self.prediction = prediction
        self.context = request.prompt_tokens
        self.computed = 0
        self.emitted = 0
        self.blocks = 0  # KV blocks held on the device
        self.host_tokens = 0  # tokens whose KV lies in host memory
        self.preemptions = 0
        self.prefill_only = False  # this leg ends with the first token
        self.overhead_seconds = 0.0  # scheduler time spent while the job was in a replica
        self.device: Device | None = None  # where its current leg is
        self.queued: float | None = None
        self.first_scheduled: float | None = None
        self.first_token: float | None = None
        self.finished: float | None = None
        self.done: simpy.Event | None = None

    @property
    def pending(self) -> int:
        """Tokens that exist and are not yet computed: more than one is prefill, one is decode."""
        return self.context - self.computed

    @property
    def complete(self) -> bool:
        """Whether every token of the true output has been emitted."""
        return self.emitted >= self.request.truth.output_tokens

    def __repr__(self) -> str:
        return f"Job(id={self.request.id}, context={self.context}, computed={self.computed}, emitted={self.emitted})"
