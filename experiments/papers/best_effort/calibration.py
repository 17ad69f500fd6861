"""What a step of each model takes, by the jobs in it: constants of the greedy router, from the cluster's profiles."""

from __future__ import annotations

import numpy as np

from experiments.run.parts import Fitted
from sim import Cluster, Device
from sim.step import Step, attended_tokens

JOBS = (1, 2, 4, 8, 16, 32, 64, 128)  # in a step; [A]


def steps(cluster: Cluster, known: Fitted) -> dict[str, list[float]]:
    """By model, (t0, t1): seconds of a step, and what each job in it adds; the line nearest to those of `JOBS`.

    Jobs have the training requests' mean prompt and half of the mean answer, and as many come as leave: so a step has
    jobs / answer prompts in it.
    """
    prompt = max(1, round(float(known.training.table["prompt_tokens"].mean())))
    return {device.model: _line(device, prompt, answer(cluster, known)) for device in cluster.devices}


def answer(cluster: Cluster, known: Fitted) -> float:
    """Tokens of the training requests' mean answer."""
    return float(known.training.table["output_tokens"].mean())


def _line(device: Device, prompt: int, length: float) -> list[float]:
    context = prompt + length / 2
    counts = [jobs for jobs in JOBS if jobs == 1 or jobs * context <= device.kv_tokens]
    seconds = [_seconds(device, jobs, round(jobs * context), prompt, jobs / length) for jobs in counts]
    each, fixed = np.polyfit(counts, seconds, 1) if len(counts) > 1 else (0.0, seconds[0])
    return [float(fixed), max(0.0, float(each))]


def _seconds(device: Device, jobs: int, context: int, prompt: int, prompts: float) -> float:
    """Of a step with so many `prompts` in the mean, of as many tokens each; what the host needs passes beside it."""
    tokens, attended = round(prompts * prompt), round(prompts * attended_tokens(prompt, 0))
    step = Step(prefill_tokens=tokens, prefill_attended=attended, decode_jobs=jobs, decode_context=context)
    return max(device.profile.step_time(step), device.host_time.seconds(jobs) if device.host_time else 0.0)
