"""What the meta.json of a served run states of its engine: what was asked for, and what vLLM made of it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.validation.kernels.settings import KV_CACHE_DTYPES, ONLY, not_understood, refused

ASYNCHRONOUS_SINCE = (0, 14)  # [R] vLLM's pull request 27614: its default where nothing forbids it
PREFIX_CACHING_SINCE = (0, 8)  # [R] vLLM's V1 engine, whose default it is
BLOCK_SIZE = 16  # [R] vLLM's on CUDA
UTILIZATION = 0.9  # [R] vLLM's until 0.19 at least
DEPENDS = "vLLM's default depends on the device"
# Where a fact may stand, the most certain place first; the words are vLLM's.
PLACES = (
    ("kv_cache",), ("resolved_config", "cache_config"), ("resolved_config", "scheduler_config"),
    ("resolved_config", "parallel_config"), ("resolved_config", "model_config"), ("resolved_config",),
    ("hardware",), ("engine_kwargs",), (),
)  # fmt: skip
KINDS = {int: "a positive whole number", bool: "true or false", str: "a text", float: "a positive number"}


def share(place: str, value: Any) -> float:
    """`value` as a share of memory; ValueError beginning with `place` unless it is one."""
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 < value <= 1:
        raise ValueError(f"{place} must be above 0 and at most 1, got {value!r}")
    return float(value)


@dataclass(frozen=True, slots=True)
class Meta:
    """A meta.json, asked for facts by vLLM's own names."""

    path: Path
    stated: Mapping[str, Any]

    def get(self, name: str, kind: type, least: int = 1) -> Any:
        """What is said of `name`, None if nothing; ValueError unless it is of that `kind`, and `least` or more."""
        for place in PLACES:
            section: Any = self.stated
            for key in place:
                section = section.get(key) if isinstance(section, Mapping) else None
            value = section.get(name) if isinstance(section, Mapping) else None
            if value is None:
                continue
            accepted = (int, float) if kind is float else kind
            wrong = not isinstance(value, accepted) or (kind in (int, float) and isinstance(value, bool))
            if wrong or (kind is int and value < least) or (kind is float and not value > 0):
                raise ValueError(f"{self.path}: {'.'.join((*place, name))} must be {KINDS[kind]}, got {value!r}")
            return value
        return None

    def need(self, name: str, kind: type, why: str) -> Any:
        """What is said of `name`; ValueError if nothing is."""
        value = self.get(name, kind)
        if value is None:
            raise ValueError(f"{self.path}: it does not say {name}, {why}")
        return value

    def refuse(self, name: str, kind: type, simulated: Any) -> None:
        """ValueError unless `name` is `simulated`, or nothing is said of it."""
        value = self.get(name, kind)
        if value not in (None, simulated):
            raise ValueError(f"{self.path}: {name} is {value!r}, and only {simulated!r} is simulated here")

    def check_settings(self, dtype: str) -> None:
        """ValueError for a setting that changes what a step takes, and is not simulated; `dtype` is the elements'."""
        for name in (*ONLY, *KV_CACHE_DTYPES):
            if wrong := refused(name, self.get(name, object), dtype):
                raise ValueError(f"{self.path}: {wrong}")


@dataclass(frozen=True, slots=True)
class Engine:
    """The engine that served a run, as far as a simulation needs to know it; what was not stated is None.

    `devices` share the model in each of `ranks` that have requests of their own; seats, budget and blocks are a rank's.
    `assumed` says of each default that was taken where the meta.json says nothing, and what of it was left aside.
    `requests` is how many it says were served, `path` where it is.
    """

    path: Path
    model: str
    version: tuple[int, ...]
    seats: int
    budget: int
    devices: int
    ranks: int
    expert_parallel: bool
    dtype: str
    asynchronous: bool
    prefix_caching: bool
    chunked_prefill: bool
    threshold: int
    ignores_eos: bool
    max_model_len: int | None
    blocks: int | None
    block_size: int | None
    utilization: float | None
    memory_bytes: int | None
    requests: int | None
    assumed: tuple[str, ...]


def meta_path(run: Path, given: str | None) -> Path:
    """Where the meta.json of `run` is: where it is `given`, else RUN.meta.json, else meta.json beside it."""
    stem = re.sub(r"\.jsonl(\.gz)?$", "", run.name)
    places = [Path(given)] if given else [run.with_name(f"{stem}.meta.json"), run.with_name("meta.json")]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise FileNotFoundError(f"no {' or '.join(map(str, places))}: it says how the engine of {run} was started")
    return found


def read_meta(path: Path) -> Meta:
    """The meta.json at `path`; ValueError names it."""
    try:
        stated = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: no json: {error}") from error
    if not isinstance(stated, dict):
        raise ValueError(f"{path}: it must be an object, got {type(stated).__name__}")
    return Meta(path, stated)


def read_engine(meta: Meta) -> Engine:
    """The engine that `meta` states; ValueError in one line for what is missing, wrong or not simulated."""
    version = _version(meta)
    assumed = []

    def default(name: str, since: tuple[int, ...]) -> bool:
        value = meta.get(name, bool)
        if value is None:
            value, first = version >= since, ".".join(map(str, since))
            said = f"on by vLLM's default from {first} on" if value else f"off by vLLM's default before {first}"
            assumed.append(f"{name} {said}: the run does not say [A]")
        return bool(value)

    dtype = (meta.get("dtype", str) or "auto").removeprefix("torch.")
    if dtype == "auto":
        assumed.append("dtype auto: the run does not say what that came to; that of the tables [A]")
    meta.check_settings(dtype)
    kwargs = meta.stated.get("engine_kwargs") or {}
    if not isinstance(kwargs, Mapping):
        raise ValueError(f"{meta.path}: engine_kwargs must be an object, got {kwargs!r}")
    assumed += [f"not understood, and left aside: {setting}" for setting in not_understood(kwargs)]
    ranks = meta.get("data_parallel_size", int) or 1
    expert_parallel = bool(meta.get("enable_expert_parallel", bool))
    if ranks > 1 and expert_parallel:
        meta.refuse("all2all_backend", str, "allgather_reducescatter")
    blocks = meta.get("num_gpu_blocks", int)
    if blocks is not None:
        blocks = max(1, blocks // ranks)  # [R] vLLM's front end adds up those of all ranks, v1/engine/core_client.py
    utilization = meta.get("gpu_memory_utilization", float)
    if utilization is not None:
        share(f"{meta.path}: gpu_memory_utilization", utilization)
    ignores = meta.get("ignore_eos", bool)
    if ignores is None:
        assumed.append("answers as long as asked for (ignore_eos): the benchmark of this format forces them [R]")
    return Engine(
        path=meta.path,
        model=meta.need("model", str, "which model was served"),
        version=version,
        seats=meta.need("max_num_seqs", int, f"how many requests ran at a time: {DEPENDS}"),
        budget=meta.need("max_num_batched_tokens", int, f"how many tokens a step had at most: {DEPENDS}"),
        devices=meta.get("tensor_parallel_size", int) or 1,
        ranks=ranks,
        expert_parallel=expert_parallel,
        dtype=dtype,
        asynchronous=default("async_scheduling", ASYNCHRONOUS_SINCE),
        prefix_caching=default("enable_prefix_caching", PREFIX_CACHING_SINCE),
        chunked_prefill=meta.get("enable_chunked_prefill", bool) is not False,
        threshold=meta.get("long_prefill_token_threshold", int, least=0) or 0,
        ignores_eos=ignores is not False,
        max_model_len=meta.get("max_model_len", int),
        blocks=blocks or meta.get("num_gpu_blocks_override", int),
        block_size=meta.get("block_size", int),
        utilization=utilization,
        memory_bytes=meta.get("device_total_memory_bytes", int),
        requests=meta.get("num_requests", int),
        assumed=tuple(assumed),
    )


def _version(meta: Meta) -> tuple[int, ...]:
    said = meta.need("vllm_version", str, "by which its defaults are known")
    found = re.match(r"v?(\d+)\.(\d+)", said)
    if not found:
        raise ValueError(f"{meta.path}: vllm_version must begin like 0.19, got {said!r}")
    return int(found[1]), int(found[2])
