"""A device with a model on it, and what it can never serve."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum
from numbers import Integral

from sim.decoding import Decoding
from sim.execution import Execution
from sim.link import Link
from sim.policy import Batching
from sim.request import Request
from sim.step import Profile


class Copying(Enum):
    """Whether a step waits for the KV that is copied between a device and its host."""

    BLOCKING = "blocking"  # it does, as in vLLM's V0
    OVERLAPPED = "overlapped"  # the copy goes on beside the steps, and holds its blocks on both sides until it ends


@dataclass(frozen=True, slots=True)
class HostMemory:
    """Where KV that is swapped out of a device goes.

    `tokens` is its size, of KV as the device has it (None: no bound). `link` is what KV travels on, each way on its
    own; None: the device's profile says how long a step takes that moves KV. `share` are the bytes that are moved, and
    held here, over those on the device: less than 1 where KV is compressed on its way.
    """

    tokens: int | None = None
    link: Link | None = None
    copying: Copying = Copying.BLOCKING
    share: float = 1.0

    def __post_init__(self) -> None:
        if self.tokens is not None and not (isinstance(self.tokens, Integral) and self.tokens >= 0):
            raise ValueError(f"host.tokens must be a whole number of tokens, or null for no bound, got {self.tokens!r}")
        if not isinstance(self.copying, Copying):  # as in a yaml
            if self.copying not in [one.value for one in Copying]:
                raise ValueError(f"host.copying must be blocking or overlapped, got {self.copying!r}")
            object.__setattr__(self, "copying", Copying(self.copying))
        if self.copying is Copying.OVERLAPPED and self.link is None:
            raise ValueError("host.copying=overlapped needs host.link: a profile knows of copies that steps wait for")
        if not 0 < self.share <= 1:
            raise ValueError(f"host.share must be above 0 and at most 1, got {self.share}")


@dataclass(frozen=True, slots=True)
class HostTime:
    """Seconds that the host of a device needs to plan a step and to send it: for the step, and for each request in it.

    They come before the device's; where the step is planned while the one before it runs, the longer of both counts.
    """

    step_seconds: float = 0.0
    request_seconds: float = 0.0

    def __post_init__(self) -> None:
        for name in ("step_seconds", "request_seconds"):
            seconds = getattr(self, name)
            if not isinstance(seconds, int | float) or not 0 <= seconds < math.inf:
                raise ValueError(f"host_time.{name} must be a number of seconds from 0 on, got {seconds!r}")

    def seconds(self, requests: int) -> float:
        """Seconds for a step of so many requests, decoding and being prefilled."""
        return self.step_seconds + self.request_seconds * requests


class Unservable(ValueError):  # noqa: N818 - the state a request is in, as DESIGN.md calls it
    """A request that this device could never serve."""


@dataclass(frozen=True, slots=True)
class Device:
    """A device with a model on it.

    `kind` is what routings go by (gpu, cpu). `kv_tokens` is the KV cache's size in tokens, `kv_bytes_per_token` the
    size of one token's KV in bytes. `max_model_len` bounds prompt plus output, in tokens. `prefix_caching` lets
    requests share the KV of equal prefixes. `batching`, where given, overrides the policy's on this device. `host` is
    where swapped KV goes, `host_time` what the host needs for each step (None: nothing beyond the profile). `decoding`
    says how many tokens a pass emits (None: one for each job that decodes). `model` is the name of the model on it: a
    cluster may have several.
    """

    name: str
    kind: str
    profile: Profile
    kv_tokens: int
    max_model_len: int
    block_size: int = 16
    kv_bytes_per_token: int = 0
    prefix_caching: bool = False
    batching: Batching | None = None
    host: HostMemory = field(default_factory=HostMemory)
    host_time: HostTime | None = None
    decoding: Decoding | None = None
    model: str = ""

    def __post_init__(self) -> None:
        if not hasattr(self.profile, "uneven"):
            kind = type(self.profile).__name__
            raise TypeError(f"{self.name}: {kind} does not say whether it is `uneven` (sim.step.Profile)")
        for name in ("kv_tokens", "max_model_len", "block_size"):
            value = getattr(self, name)
            if not isinstance(value, Integral):
                raise ValueError(f"device {self.name}: {name} must be a whole number of tokens, got {value!r}")
            if value < 1:
                raise ValueError(f"device {self.name}: {name} must be positive, got {value}")
            object.__setattr__(self, name, int(value))
        if self.kv_tokens < self.block_size:
            raise ValueError(
                f"device {self.name}: kv_tokens must hold at least one block of block_size={self.block_size} tokens, "
                f"got {self.kv_tokens}"
            )
        if self.decoding is not None and not (
            isinstance(self.decoding.lookahead, Integral) and self.decoding.lookahead >= 0
        ):
            name, given = type(self.decoding).__name__, self.decoding.lookahead
            raise ValueError(f"device {self.name}: {name}.lookahead must be a whole number of tokens, got {given!r}")
        if not self.kv_bytes_per_token >= 0:
            raise ValueError(
                f"device {self.name}: kv_bytes_per_token must not be negative, got {self.kv_bytes_per_token}"
            )

    @property
    def blocks(self) -> int:
        """KV blocks, each of `block_size` tokens."""
        return self.kv_tokens // self.block_size

    def longest_output(self, request: Request, returned: int = 0) -> int:
        """The longest output, in tokens, that client and model allow when calls have returned so many tokens."""
        room = self.max_model_len - request.prompt_tokens - returned
        return room if request.max_tokens is None else min(request.max_tokens, room)

    def surely_servable(self, execution: Execution) -> float:
        """Tokens, prompt and output, that any request may have."""
        capacity = self.blocks * self.block_size - (self.decoding.lookahead if self.decoding else 0)
        if execution.kv_tokens(0, self.max_model_len) > capacity:
            return 0
        return min(self.max_model_len, capacity, execution.longest_prefill)

    def check_servable(self, request: Request, execution: Execution, emits: int | None = None) -> None:
        """Raise `Unservable` if a leg of `request` could never run here under `execution`.

        The leg is over when the request has emitted `emits` tokens (None: its whole answer).
        """
        returned = sum(pause.returned for pause in request.truth.pauses if emits is None or pause.emitted < emits)
        total = request.prompt_tokens + returned + (request.truth.output_tokens if emits is None else emits)
        if total > self.max_model_len:
            raise Unservable(
                f"request {request.id} needs {total} tokens, {self.name} allows max_model_len={self.max_model_len}"
            )
        longest = request.prompt_tokens + returned + self.longest_output(request, returned)
        allowed = longest if emits is None else total
        kept, capacity = execution.kv_tokens(total, allowed), self.blocks * self.block_size
        if self.decoding is not None and emits is None:  # what is proposed needs room too, as far as it may be emitted
            kept = max(kept, min(kept + self.decoding.lookahead, longest - 1))
        if kept > capacity:
            raise Unservable(f"request {request.id} needs {kept} tokens of KV, {self.name} has {capacity}")
        if total - 1 > execution.longest_prefill:
            raise Unservable(  # a job preempted late prefills all its tokens anew
                f"request {request.id} may need an unchunked prefill of {total - 1} tokens, "
                f"{self.name} runs max_num_batched_tokens={execution.longest_prefill}"
            )
