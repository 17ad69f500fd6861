"""vLLM's own schedulers in virtual time, without a model: what they decide on a workload, in the format of `golden`.

`Scheduler` decides on a batch when the one before has ended. `AsyncScheduler` (`async_scheduling` of the workload's
config) decides as vLLM's engine core lets it, with two batches in flight: whenever a batch has ended, and with nothing
in flight when a request comes. A batch begins on the device when the one before it has ended. Deciding and committing
take no time.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
from collections import deque
from pathlib import Path
from typing import Any

from experiments.engine.golden import OUTPUT_ID, TOLERANCE, Iteration, Workload, difference_of, iterations_of

FOLLOWED = "0.32.0"  # the version whose decisions the engine takes
STOP_ID = OUTPUT_ID + 1  # the id of the last token of an answer that ends below its max_tokens
MODEL = {  # as small as a decoder can be; its weights are never looked for
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 64,
    "num_attention_heads": 1,
    "num_key_value_heads": 1,
    "num_hidden_layers": 1,
    "vocab_size": 1024,
    "max_position_embeddings": 1 << 20,
}


class Missing(RuntimeError):  # noqa: N818 - the state vLLM is in
    """vLLM cannot be imported."""


def installed() -> str:
    """The version of the vLLM that is installed, with its log silenced from now on; raises `Missing`."""
    logging.getLogger("vllm").setLevel(logging.CRITICAL)
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "CRITICAL")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    try:
        import vllm
        import vllm.v1.core.sched.async_scheduler
    except Exception as error:  # a package that vLLM imports may fail in a way of its own
        raise Missing(
            f"vLLM cannot be imported ({type(error).__name__}: {error}): `make vllm` installs it and tokenyard in an "
            "environment of their own; docs/engine.md says more"
        ) from error
    return str(vllm.__version__)


class Run:
    """A workload under vLLM's scheduler: requests come in, batches are committed, instants are noted."""

    def __init__(self, workload: Workload) -> None:
        self.scheduler, self._to_request = build(workload["config"])
        self.coming = sorted(workload["requests"], key=lambda row: row["arrival"])[::-1]
        # Of the answers that end by a stop token, which one it is.
        self._stops = {str(row["id"]): row["output_tokens"] for row in self.coming if ends_by_stop(row)}
        self.first_token: dict[str, float] = {}
        self.finish: dict[str, float] = {}

    def admit(self, now: float) -> None:
        """Let the scheduler know of every request that has come by `now`."""
        while self.coming and self.coming[-1]["arrival"] <= now:
            self.scheduler.add_request(self._to_request(self.coming.pop()))

    def schedule(self) -> tuple[Any, list[str], list[str]]:
        """A decision: the step, the requests it gives a token to, and those it preempts."""
        step = self.scheduler.schedule()
        requests = self.scheduler.requests
        emitting = [name for name in step.num_scheduled_tokens if not requests[name].is_prefill_chunk]
        return step, emitting, sorted(step.preempted_req_ids or ())

    def commit(self, step: Any, emitting: list[str], now: float) -> None:
        """`step` has ended: its tokens come."""
        from vllm.v1.outputs import ModelRunnerOutput

        requests, granted = self.scheduler.requests, step.num_scheduled_tokens
        sampled: dict[str, list[int]] = {name: [] for name in granted}
        for name in emitting:
            if name in requests:  # otherwise it has ended: this is the row that its end came too late for
                last = requests[name].num_output_tokens + 1 == self._stops.get(name)
                sampled[name].append(STOP_ID if last else OUTPUT_ID)
                self.first_token.setdefault(name, now)
        places = {name: place for place, name in enumerate(granted)}
        self.scheduler.update_from_output(step, ModelRunnerOutput(list(granted), places, list(sampled.values())))
        for name in granted:
            if name not in requests:
                self.finish.setdefault(name, now)


def ends_by_stop(row: dict[str, Any]) -> bool:
    """Whether the answer of a request ends below its max_tokens, by a stop token that no scheduler can foresee."""
    return bool(row.get("max_tokens", row["output_tokens"]) > row["output_tokens"])


def drive(workload: Workload) -> Workload:
    """`workload` with what vLLM's scheduler does on it: iterations, first_token and finish."""
    run = Run(workload)
    decide = _two_in_flight if workload["config"].get("async_scheduling") else _one_by_one
    iterations = decide(run, workload["iteration_seconds"])
    return {**workload, "iterations": iterations, "first_token": run.first_token, "finish": run.finish}


def _seconds(seconds: dict[str, float], step: Any) -> float:
    return seconds["fixed"] + seconds["per_scheduled_token"] * step.total_num_scheduled_tokens


def _one_by_one(run: Run, seconds: dict[str, float]) -> list[Iteration]:
    """Each batch is decided when the one before has ended."""
    iterations: list[Iteration] = []
    now = 0.0
    while run.coming or run.scheduler.has_unfinished_requests():
        if not run.scheduler.has_unfinished_requests():
            now = max(now, run.coming[-1]["arrival"])
        run.admit(now)
        step, emitting, preempted = run.schedule()
        granted = dict(step.num_scheduled_tokens)
        if not granted and not preempted:
            raise _stalled(run, now)
        iterations.append(Iteration(now, now, granted, preempted))
        now += _seconds(seconds, step)
        run.commit(step, emitting, now)
    return iterations


def _two_in_flight(run: Run, seconds: dict[str, float]) -> list[Iteration]:
    """As `EngineCore.step_with_batch_queue`: a batch is decided while the one before it is computed.

    A decision without a batch waits in the queue like any other, so no more is decided before the batch in flight has
    ended, whoever comes in the meantime.
    """
    iterations: list[Iteration] = []
    flying: deque[tuple[Any, list[str], float]] = deque()  # the batches in flight, and when each ends
    now = 0.0
    while run.coming or flying or run.scheduler.has_unfinished_requests():
        if not flying and not run.scheduler.has_unfinished_requests():
            now = max(now, run.coming[-1]["arrival"])
        run.admit(now)
        while len(flying) < 2 and run.scheduler.has_unfinished_requests():
            step, emitting, preempted = run.schedule()
            granted = dict(step.num_scheduled_tokens)
            start = flying[-1][2] if flying else now
            if granted or preempted:
                iterations.append(Iteration(now, start if granted else None, granted, preempted))
            elif not flying:
                raise _stalled(run, now)
            if granted:
                flying.append((step, emitting, start + _seconds(seconds, step)))
            elif flying:
                break
        if flying:
            step, emitting, now = flying.popleft()
            run.commit(step, emitting, now)
    return iterations


def _stalled(run: Run, now: float) -> RuntimeError:
    return RuntimeError(f"vLLM does nothing at {now} s, with {len(run.scheduler.requests)} requests unfinished")


def build(config: dict[str, Any]) -> tuple[Any, Any]:
    """vLLM's scheduler under `config`, and what makes its request of a row."""
    import torch
    from vllm.config import CacheConfig, DeviceConfig, ModelConfig, SchedulerConfig, VllmConfig
    from vllm.sampling_params import SamplingParams
    from vllm.utils.hashing import get_hash_fn_by_name
    from vllm.v1.core.kv_cache_utils import get_request_block_hasher, init_none_hash
    from vllm.v1.kv_cache_interface import FullAttentionSpec, KVCacheConfig, KVCacheGroupSpec
    from vllm.v1.request import Request
    from vllm.v1.structured_output import StructuredOutputManager

    config = {"async_scheduling": False, **config}
    size, most = config["block_size"], config["max_model_len"]
    names = ("max_num_seqs", "max_num_batched_tokens", "policy", "enable_chunked_prefill", "async_scheduling")
    limits = {name: config[name] for name in (*names, "long_prefill_token_threshold")}
    cache = CacheConfig(block_size=size, enable_prefix_caching=config["enable_prefix_caching"])
    cache.num_gpu_blocks = config["num_blocks"]
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "config.json").write_text(json.dumps(MODEL))
        settings = VllmConfig(
            model_config=ModelConfig(model=folder, skip_tokenizer_init=True, dtype="float16", max_model_len=most),
            cache_config=cache,
            scheduler_config=SchedulerConfig(**limits, max_model_len=most, is_encoder_decoder=False),
            device_config=DeviceConfig("cpu"),
        )
    settings.scheduler_config.async_scheduling = config["async_scheduling"]  # vLLM turns it off where there is no GPU
    built = {name: getattr(settings.scheduler_config, name) for name in limits}
    built |= {"block_size": cache.block_size, "enable_prefix_caching": cache.enable_prefix_caching}
    if changed := {name: value for name, value in built.items() if value != config[name]}:
        raise RuntimeError(f"vLLM has changed the config it was given: {changed}")
    group = KVCacheGroupSpec(["layer"], FullAttentionSpec(size, num_kv_heads=1, head_size=1, dtype=torch.float16))
    kv = KVCacheConfig(config["num_blocks"], kv_cache_tensors=[], kv_cache_groups=[group])
    scheduler_class = settings.scheduler_config.get_scheduler_cls()
    scheduler = scheduler_class(settings, kv, StructuredOutputManager(settings), block_size=size)
    hasher = None
    if config["enable_prefix_caching"]:
        hash_function = get_hash_fn_by_name(cache.prefix_caching_hash_algo)
        init_none_hash(hash_function)
        hasher = get_request_block_hasher(size, hash_function)

    def to_request(row: dict[str, Any]) -> Any:
        stop = [STOP_ID] if ends_by_stop(row) else None
        most_tokens = row.get("max_tokens", row["output_tokens"])
        return Request(
            request_id=str(row["id"]),
            prompt_token_ids=row.get("prompt_token_ids") or [0] * row["prompt_tokens"],
            sampling_params=SamplingParams(max_tokens=most_tokens, ignore_eos=True, stop_token_ids=stop),
            pooling_params=None,
            arrival_time=row["arrival"],
            priority=row["priority"],
            block_hasher=hasher,
        )

    return scheduler, to_request


def verify(stored: Workload) -> bool:
    """Whether vLLM, driven here, does on a `stored` workload what is stored."""
    ours = drive(stored)
    for name in ("first_token", "finish"):
        if ours[name].keys() != stored[name].keys():
            return False
        if any(abs(instant - stored[name][request]) > TOLERANCE for request, instant in ours[name].items()):
            return False
    mine, others = iterations_of(ours), iterations_of(stored)
    return len(mine) == len(others) and not any(map(difference_of, mine, others))
