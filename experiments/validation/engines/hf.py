"""Static batches on a transformers model in this process, pass by pass, as the simulator's replica plans them.

The batches are chosen by the very code that the simulator runs (`sim.Scheduler`: the policy's order and batching, room
in the KV cache, padding to the widest prompt); only the time is real. A pass is what `profiles.measuring.forward`
measures, and the batch goes on until its last member has its tokens: those of the trace, there is no end of sequence.
Beyond the measured pass a step takes an argmax over the vocabulary and the planning.
Prompts are random tokens, padded on the left; position ids are not shifted by the padding as `generate` does it: that
changes what is said, not how long it takes.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from typing import Any

import pandas as pd
import torch

from experiments.validation.engines import Idle, Progress, row, table_of
from profiles import machine
from profiles.measuring import models
from profiles.measuring.forward import Forward
from profiles.measuring.transformer import State, random_tokens
from sim import Device, Hold, Plan, Policy, RequestLevel, Scheduler, Until
from sim.job import Job


class HF:
    """A transformers model, decoder-only or encoder-decoder; prompts are drawn from `seed`."""

    def __init__(self, model: Any, seed: int = 0) -> None:
        self.model = model
        self.random = torch.Generator(device=model.device).manual_seed(seed)
        self.forward = Forward(model, seed)
        self.passes = self.forward.passes

    @property
    def limits(self) -> dict[str, int]:
        """Those of the profile, which was measured on the same model."""
        return {}

    @property
    def facts(self) -> dict[str, Any]:
        """Versions, and what it runs with."""
        dtype = str(self.model.dtype).removeprefix("torch.")
        versions = machine.library_versions("torch", "transformers")
        return {**machine.running(), "dtype": dtype, "allocator": machine.keep_freed_memory(), **versions}

    def anchor(self, batch: int, context: int) -> tuple[float, float]:
        """See `experiments.validation.engines.Engine`."""
        return self.forward.anchor(batch, context)

    def close(self) -> None:
        """Let the model go."""
        del self.model, self.forward, self.passes

    def serve(
        self, jobs: Sequence[Job], policy: Policy, device: Device, progress: Progress, idle: Idle
    ) -> pd.DataFrame:
        """See `experiments.validation.engines.Engine`; ValueError for a batching that is not static."""
        execution = policy.batching.execution
        if not isinstance(execution, RequestLevel) or execution.until is not Until.LAST:
            raise ValueError(
                f"engine=hf runs static batches to their end, {type(policy.batching).__name__} does not: "
                "for continuous ones take engine=vllm"
            )
        for job in jobs:
            device.check_servable(job.request, policy.batching.execution)
        return table_of(_Run(self, jobs, policy, device, progress, idle).rows())


class _Run:
    """One trace, served once."""

    def __init__(
        self, hf: HF, jobs: Sequence[Job], policy: Policy, device: Device, progress: Progress, idle: Idle
    ) -> None:
        self.hf = hf
        self.coming = deque(jobs)
        self.count = len(jobs)
        self.scheduler = Scheduler(device, policy)
        self.progress = progress
        self.idle = idle
        self.tokens: torch.Tensor  # of the batch that runs, as is `state`
        self.state: State
        self.produced = 0  # tokens that each of its rows has
        self.first_token: dict[Job, float] = {}
        self.last_token: dict[Job, float] = {}
        self.start = time.perf_counter()

    def now(self) -> float:
        """Seconds from the trace's start."""
        return time.perf_counter() - self.start

    @torch.inference_mode()
    def rows(self) -> list[tuple[Any, ...]]:
        """Serve to the end: plan, run the pass, carry the plan out."""
        done: list[tuple[Any, ...]] = []
        while len(done) < self.count:
            self.let_in()
            plan = self.scheduler.plan(self.now())
            if isinstance(plan, Hold):
                self.sleep(plan.until)
                continue
            self.run_pass(plan)
            plan.end = self.now()
            self.note(plan)
            for job in self.scheduler.commit(plan):
                assert job.first_scheduled is not None
                assert job.finished is not None
                done.append(row(job, job.first_scheduled, self.first_token[job], self.last_token[job], job.finished))
                self.progress()
        return done

    def let_in(self) -> None:
        """Let those wait whose arrival has passed."""
        now = self.now()
        while self.coming and self.coming[0].request.arrival <= now:
            job = self.coming.popleft()
            self.scheduler.submit(job, job.request.arrival)

    def sleep(self, until: float) -> None:
        """Until the next arrival, or the instant `until`, whichever is first."""
        if self.coming and not self.scheduler.waiting:
            self.idle(self.coming[0].request.arrival - self.now())
        if self.coming:
            until = min(until, self.coming[0].request.arrival)
        if until == float("inf"):
            raise RuntimeError(f"{len(self.scheduler.waiting)} requests wait for nothing")
        time.sleep(max(0.0, until - self.now()))

    def run_pass(self, plan: Plan) -> None:
        """The padded prompts of a new batch, or one more token for each row of the one that runs."""
        passes = self.hf.passes
        if plan.grants:
            logits, self.state = passes.begin(*self.prompts(list(plan.grants)))
            self.produced = 0
        else:
            logits = passes.step(self.state, self.tokens)
        self.tokens = logits[:, -1].argmax(-1, keepdim=True)
        self.produced += 1

    def prompts(self, members: Sequence[Job]) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Random tokens of a batch, and the mask of its padding (None for a single row), rows x widest."""
        tokens = random_tokens(self.hf.model, len(members), members[0].context, self.hf.random)
        if len(members) == 1:
            return tokens, None
        mask = torch.ones_like(tokens)
        for number, job in enumerate(members):
            mask[number, : job.padding] = 0
        return tokens, mask

    def note(self, plan: Plan) -> None:
        """The pass of `plan` has given each row a token: of some jobs the first, of some the last."""
        for job in plan.grants:
            self.first_token[job] = plan.end
        for job in self.scheduler.running:
            if job.request.truth.output_tokens == self.produced:
                self.last_token[job] = plan.end


def start(model: str, seed: int) -> HF:
    """The engine on the model of `profiles.measuring.models` of that name, on the CPU.

    Freed memory is kept, as it is while a profile is measured.
    """
    machine.keep_freed_memory()
    return HF(models.load(model, seed=seed), seed)
