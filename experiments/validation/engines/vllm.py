"""vLLM's own engine in this process: `LLMEngine.step` in a loop, requests added as they arrive.

Asynchronous scheduling is as it is asked for (`profiles.measuring.vllm_engine.build`): with it vLLM plans the next step
while one runs, as the simulator does with `plans_ahead`. Prefix caching is off, and weights are dummies. Orders become
vLLM's priority scheduling: each request is told its place among the ranks of all, so that one engine serves every
policy, and first come first served is the priority of the arrival. Answers are as long as the trace has them; a token
is there when the `step` that made it returns. Beyond the measured step the loop adds requests, between two steps.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.validation.engines import Idle, Progress, Unavailable, priorities, row, table_of
from profiles import machine
from profiles.measuring import vllm_engine
from sim import Device, Policy
from sim.job import Job

KV_GIBIBYTES = 2


class VLLM:
    """An engine of the model called `model` in `profiles.measuring.models`; lengths in tokens. Raises `Unavailable`."""

    def __init__(
        self,
        model: str,
        seed: int,
        threads: int,
        asynchronous: bool,
        max_num_seqs: int,
        max_num_batched_tokens: int,
        max_model_len: int,
    ) -> None:
        self.random = random.Random(seed)
        self.folder = tempfile.TemporaryDirectory()
        path = vllm_engine.model_folder(model, Path(self.folder.name))
        settings = vllm_engine.engine_settings(
            path, "float32", seed, max_model_len, max_num_seqs, max_num_batched_tokens
        )
        self.allocator = machine.keep_freed_memory()
        try:
            self.engine = vllm_engine.build(
                settings,
                max(1, threads),
                KV_GIBIBYTES,
                asynchronous,
                enable_prefix_caching=False,
                scheduling_policy="priority",
            )
        except ModuleNotFoundError as error:
            raise Unavailable(str(error)) from error
        self.config = self.engine.vllm_config
        self._served = 0  # traces, so that no two requests have one name
        self.steps = vllm_engine.Steps(self.engine)

    @property
    def limits(self) -> dict[str, int]:
        """The KV cache without vLLM's null block, its blocks, and the longest request, tokens."""
        cache = self.config.cache_config
        return {
            "kv_tokens": (cache.num_gpu_blocks - 1) * cache.block_size,
            "block_size": cache.block_size,
            "max_model_len": self.config.model_config.max_model_len,
        }

    @property
    def facts(self) -> dict[str, Any]:
        """Versions and settings, as vLLM has them, and what it runs with."""
        return {**vllm_engine.stated(self.engine), "allocator": self.allocator}

    def anchor(self, batch: int, context: int) -> tuple[float, float]:
        """See `experiments.validation.engines.Engine`."""
        return self.steps.anchor(batch, context, self._tokens)

    def _tokens(self, count: int) -> list[int]:
        return [self.random.randrange(self.config.model_config.get_vocab_size()) for _ in range(count)]

    def close(self) -> None:
        """Let the engine and the model's folder go."""
        self.engine.engine_core.shutdown()
        del self.engine
        self.folder.cleanup()

    def serve(
        self, jobs: Sequence[Job], policy: Policy, device: Device, progress: Progress, idle: Idle
    ) -> pd.DataFrame:
        """See `experiments.validation.engines.Engine`; ValueError for an order that vLLM's priorities cannot follow."""
        self._served += 1
        places = priorities(jobs, policy.order)
        prompts = [self._tokens(job.request.prompt_tokens) for job in jobs]
        for job in jobs:
            device.check_servable(job.request, policy.batching.execution)
        coming = deque(zip(jobs, places, prompts, strict=True))
        inside: dict[str, Job] = {}
        scheduled: dict[str, float] = {}
        first: dict[str, float] = {}
        done = []
        start = time.perf_counter()
        while coming or inside:
            now = time.perf_counter() - start
            while coming and coming[0][0].request.arrival <= now:
                job, place, prompt = coming.popleft()
                name = f"{self._served}-{job.request.id}"
                inside[name] = job
                vllm_engine.add(self.engine, name, prompt, job.request.truth.output_tokens, place)
            if not inside:
                idle(coming[0][0].request.arrival - now)
                time.sleep(max(0.0, coming[0][0].request.arrival - (time.perf_counter() - start)))
                continue
            step = self.steps()
            if step is None:
                continue
            now = time.perf_counter() - start
            for name in step.scheduled:
                scheduled.setdefault(name, step.begin - start)
            for output in step.outputs:
                name = output.request_id
                first.setdefault(name, now)
                if output.finished:
                    done.append(row(inside.pop(name), scheduled.get(name, float("nan")), first[name], now, now))
                    progress()
        return table_of(done)
