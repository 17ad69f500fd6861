"""A real vLLM engine of a model without its weights: from the model's config alone, in this process."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from profiles import machine
from profiles.measuring import models

BLOCK_SIZE = 32  # tokens of a KV block: what vLLM's attention on a CPU takes
ANCHOR_STEPS = 3


def environment(threads: int, kv_gibibytes: int) -> dict[str, str]:
    """What vLLM reads from the environment when it is imported: one process, quiet, offline, so many threads."""
    return {
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "VLLM_LOGGING_LEVEL": "ERROR",
        "VLLM_NO_USAGE_STATS": "1",
        "HF_HUB_OFFLINE": "1",
        "VLLM_CPU_KVCACHE_SPACE": str(kv_gibibytes),
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "OMP_NUM_THREADS": str(threads),
    }


def model_folder(model: str, folder: Path) -> Path:
    """`folder`, with the config.json of `model` in it: all that vLLM needs for dummy weights."""
    folder.mkdir(parents=True, exist_ok=True)
    config = models.config(model)
    described = {**config.to_dict(), "architectures": [models.architecture_name(config)], "dtype": "float32"}
    (folder / "config.json").write_text(json.dumps(described, indent=1) + "\n", encoding="utf-8")
    return folder


def engine_settings(
    folder: Path, dtype: str, seed: int, max_model_len: int, max_num_seqs: int, max_num_batched_tokens: int
) -> dict[str, Any]:
    """The engine arguments of every vLLM here, in process and served, but for asynchronous scheduling."""
    return {
        "model": str(folder),
        "load_format": "dummy",
        "skip_tokenizer_init": True,
        "enforce_eager": True,
        "dtype": dtype,
        "seed": seed,
        "block_size": BLOCK_SIZE,
        "max_model_len": max_model_len,
        "max_num_seqs": max_num_seqs,
        "max_num_batched_tokens": max_num_batched_tokens,
    }


def build(settings: dict[str, Any], threads: int, kv_gibibytes: int, asynchronous: bool, **others: Any) -> Any:
    """vLLM's `LLMEngine` of `settings` and `others`; ModuleNotFoundError says how to install it.

    vLLM turns asynchronous scheduling off on a CPU, whatever was asked. It is turned on after that, and the passes are
    given to a thread (`profiles.measuring.vllm_thread`): in the calling thread each would end before the next is
    planned, and its tokens be seen a step late.
    """
    os.environ.update(environment(threads, kv_gibibytes))
    try:
        from vllm import EngineArgs, LLMEngine
    except ImportError as error:
        raise ModuleNotFoundError(f"no vLLM here ({error}): `make vllm` installs it in .venv-vllm") from error
    config = EngineArgs(**settings, **others, async_scheduling=asynchronous).create_engine_config()
    config.scheduler_config.async_scheduling = asynchronous
    from profiles.measuring.vllm_thread import executor_class

    return LLMEngine(config, executor_class(asynchronous), log_stats=False)


def add(engine: Any, name: str, prompt: list[int], output_tokens: int, priority: int = 0) -> None:
    """Submit a prompt of token ids, to be answered with just so many tokens."""
    from vllm import SamplingParams

    sampling = SamplingParams(max_tokens=output_tokens, ignore_eos=True, temperature=0.0, detokenize=False)
    engine.add_request(name, {"prompt_token_ids": prompt}, sampling, priority=priority)


@dataclass(frozen=True, slots=True)
class Done:
    """A step that has ended: tokens of each request by its name, seconds, when it began, and the requests' outputs.

    With asynchronous scheduling it began when it was submitted or when the one before it ended, whichever was later.
    """

    scheduled: dict[str, int]
    seconds: float
    begin: float
    outputs: list[Any]


class Steps:
    """The steps of an `engine`, one after the other, and what each held; `clock` in s."""

    def __init__(self, engine: Any, clock: Callable[[], float] = time.perf_counter) -> None:
        self.engine = engine
        self.clock = clock
        self.ended_at = 0.0
        self._submitted: dict[int, float] = {}
        self._ended: Any = None
        self._names = 0
        scheduler = engine.engine_core.engine_core.scheduler
        self._schedule, self._update = scheduler.schedule, scheduler.update_from_output
        scheduler.schedule, scheduler.update_from_output = self._scheduling, self._updating

    def _scheduling(self, *arguments: Any, **named: Any) -> Any:
        begin = self.clock()
        output = self._schedule(*arguments, **named)
        self._submitted[id(output)] = begin
        return output

    def _updating(self, scheduled: Any, *arguments: Any, **named: Any) -> Any:
        self._ended = scheduled
        return self._update(scheduled, *arguments, **named)

    def __call__(self) -> Done | None:
        """Call the engine's `step`: the step that has ended, None where none has, or one without a token."""
        self._ended = None
        outputs = self.engine.step()
        now = self.clock()
        if self._ended is None:
            return None
        begin = max(self._submitted.pop(id(self._ended)), self.ended_at)
        # vLLM adds a random part to a request's name
        scheduled = {name.rpartition("-")[0]: count for name, count in self._ended.num_scheduled_tokens.items()}
        if not scheduled:
            return None
        self.ended_at = now
        return Done(scheduled, now - begin, begin, outputs)

    def anchor(self, batch: int, context: int, tokens: Callable[[int], list[int]]) -> tuple[float, float]:
        """Serve `batch` new prompts of `context` - 2 of `tokens`: seconds of the prefill, and of a decode step.

        That is the median of the steps that follow. RuntimeError where anything else is in the engine.
        """
        for _ in range(batch):
            self._names += 1
            add(self.engine, f"anchor{self._names}", tokens(context - 2), 1 + ANCHOR_STEPS)
        done = []
        while self.engine.has_unfinished_requests():
            done.append(self())
        steps = [step for step in done if step is not None]
        shapes = [list(step.scheduled.values()) for step in steps]
        if shapes != [[context - 2] * batch, *[[1] * batch] * ANCHOR_STEPS]:
            raise RuntimeError(f"the anchor of {batch} prompts of {context - 2} tokens ran as steps of {shapes}")
        return steps[0].seconds, median(step.seconds for step in steps[1:])


def stated(engine: Any) -> dict[str, Any]:
    """How `engine` is set up, as vLLM has it: what a measuring and a serving one may differ in."""
    config = engine.vllm_config
    scheduler, cache = config.scheduler_config, config.cache_config
    executor = engine.engine_core.engine_core.model_executor
    return {
        **executor.submit(machine.running),
        "dtype": str(config.model_config.dtype).removeprefix("torch."),
        "async_scheduling": bool(scheduler.async_scheduling),
        "eager": bool(config.model_config.enforce_eager),
        "block_size": cache.block_size,
        "max_num_seqs": scheduler.max_num_seqs,
        "max_num_batched_tokens": scheduler.max_num_batched_tokens,
        "prefix_caching": bool(cache.enable_prefix_caching),
        "kv_blocks": cache.num_gpu_blocks,
        "scheduling": str(scheduler.policy),
        **machine.library_versions("torch", "vllm-cpu"),
    }
