"""A device with a model on it, and what it can never serve."""

from __future__ import annotations

from dataclasses import dataclass

from sim.kv import KVCache
from sim.policy import Batching, Execution
from sim.prefix import PrefixCache
from sim.request import Request
from sim.step import Profile


class Unservable(ValueError):  # noqa: N818 - the state a request is in, as DESIGN.md calls it
    """A request that this device could never serve."""


@dataclass(frozen=True, slots=True)
class Device:
    """A device with a model on it.

    `kind` is what routings go by (gpu, cpu). `kv_tokens` is the KV cache's size in tokens, `kv_bytes_per_token` the
    size of one token's KV in bytes. `max_model_len` bounds prompt plus output, in tokens. `prefix_caching` lets
    requests share the KV of equal prefixes. `batching`, where given, overrides the policy's on this device.
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

    def __post_init__(self) -> None:
        for field in ("kv_tokens", "max_model_len", "block_size"):
            if getattr(self, field) < 1:
                raise ValueError(f"device {self.name}: {field} must be positive, got {getattr(self, field)}")

    def new_cache(self) -> KVCache:
        """An empty KV cache of this device's size."""
        cache = PrefixCache if self.prefix_caching else KVCache
        return cache(self.kv_tokens // self.block_size, self.block_size)

    def longest_output(self, request: Request) -> int:
        """The longest output that the client and the model allow, in tokens."""
        room = self.max_model_len - request.prompt_tokens
        return room if request.max_tokens is None else min(request.max_tokens, room)

    def surely_servable(self, execution: Execution) -> int:
        """Tokens, prompt and output, that any request may have."""
        if execution.reserve_output:
            return 0
        budget = execution.max_num_batched_tokens
        capacity = min(self.max_model_len, self.kv_tokens // self.block_size * self.block_size)
        return capacity if budget is None or execution.chunked_prefill else min(capacity, budget)

    def check_servable(self, request: Request, execution: Execution) -> None:
        """Raise `Unservable` if `request` could never run here under `execution`."""
        total = request.prompt_tokens + request.truth.output_tokens
        if total > self.max_model_len:
            raise Unservable(
                f"request {request.id} needs {total} tokens, {self.name} allows max_model_len={self.max_model_len}"
            )
        kept = request.prompt_tokens + self.longest_output(request) if execution.reserve_output else total
        capacity = self.kv_tokens // self.block_size * self.block_size
        if kept > capacity:
            raise Unservable(f"request {request.id} needs {kept} tokens of KV, {self.name} has {capacity}")
        budget = execution.max_num_batched_tokens
        if budget is not None and not execution.chunked_prefill and total > budget:
            raise Unservable(  # a job preempted late prefills all its tokens anew
                f"request {request.id} may need an unchunked prefill of {total} tokens, "
                f"{self.name} runs max_num_batched_tokens={budget}"
            )
