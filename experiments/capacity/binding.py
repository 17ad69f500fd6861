"""What holds requests up in a run: seats, blocks, prefill or decode, told from its steps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from sim import Batching, Cluster, IterationLevel
from sim.device import Device
from sim.metrics import response_time, tpot, ttft
from sim.record import Table

FULL = 0.9  # [A] share of the KV blocks in use from which on they are what keeps a waiting request out
MOST = 0.5  # a share that is called most
LITTLE = 0.1  # of the TTFT that is spent waiting, below which it is the prefill itself that takes long
TAIL = 99  # the percentile of TPOT from which on it is looked at what held requests up


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a run's steps say. `waited` is for how long requests waited during steps, s, the mean.

    `seats`, `prefill` and `blocks` are the shares of that time in which the replica ran as many as it may, computed as
    many tokens as a step may have, or had `FULL` of its blocks in use; in the rest, `turn`, who waits has come since
    the step under way was planned. `mixed` is the share of the time of decoding that passes in steps with prefill,
    `beside` the same of the 1 % slowest per token, and `stopped` the share of these that were preempted. `anew` are the
    tokens whose KV was dropped as requests stopped, over those of all prompts and answers; `ttft` and `e2e` are means,
    s.
    """

    waited: float
    seats: float
    prefill: float
    blocks: float
    turn: float
    mixed: float
    beside: float
    stopped: float
    anew: float
    ttft: float
    e2e: float
    served: frozenset[str]  # the kinds of device that made steps

    def binds(self, metric: str) -> str:
        """Which of them keeps `metric` (ttft, tpot, itl, e2e) above its bound."""
        if metric in ("tpot", "itl"):
            if self.stopped > MOST:
                return "blocks" if self.blocks > MOST else "preemption"
            return "prefill" if self.beside > MOST else "decode"
        pace = "prefill" if self.mixed > MOST else "decode"
        if self.waited < (LITTLE * self.ttft if metric == "ttft" else MOST * self.e2e):
            return "prefill" if metric == "ttft" else pace
        held = [(self.seats, "seats"), (self.prefill, "prefill"), (self.blocks, "blocks"), (self.turn, pace)]
        return max(held)[1]


def evidence(cluster: Cluster, batching: Batching, requests: Table, steps: Table) -> Evidence:
    """From the tables of a run on `cluster` under a policy's `batching`."""
    held = dict.fromkeys(("seats", "prefill", "blocks", "turn"), 0.0)
    decoding = mixed = 0.0
    per_token = np.nan_to_num(tpot(requests), nan=-1.0)
    slowest = per_token >= np.percentile(per_token, TAIL)
    spent = np.zeros((2, len(per_token)))  # from the first token to the last, and of that beside prefill, s
    for device in cluster.devices:
        rows = steps["replica"] == device.name
        own = {name: column[rows] for name, column in steps.items()}
        execution = (device.batching or batching).execution
        waited = own["waiting"] * own["seconds"]
        seats = own["running"] >= execution.max_num_seqs
        tokens = own["prefill_tokens"] + own["decode_jobs"]
        budget = execution.max_num_batched_tokens if isinstance(execution, IterationLevel) else None
        filled = ~seats & (tokens >= budget if budget else np.zeros(len(tokens), bool))
        full = ~seats & ~filled & (own["blocks_used"] >= FULL * blocks(device))
        for name, which in {
            "seats": seats,
            "prefill": filled,
            "blocks": full,
            "turn": ~(seats | filled | full),
        }.items():
            held[name] += float(waited[which].sum())
        decoded = own["decode_jobs"] * own["seconds"]
        decoding += float(decoded.sum())
        prefills = own["prefill_tokens"] > 0
        mixed += float(decoded[prefills].sum())
        at = slowest & (requests["replica"] == device.name)
        first, last = (np.searchsorted(own["end"], requests[name][at], "right") for name in ("first_token", "finished"))
        for number, seconds in enumerate((own["seconds"], own["seconds"] * prefills)):
            sums = np.concatenate(([0.0], np.cumsum(seconds)))
            spent[number, at] = sums[last] - sums[first]
    total = sum(held.values())
    return Evidence(
        total / len(requests["id"]),
        **{name: seconds / total if total else 0.0 for name, seconds in held.items()},
        mixed=mixed / decoding if decoding else 0.0,
        beside=float(spent[1].sum() / spent[0].sum()) if spent[0].any() else 0.0,
        stopped=float((requests["preemptions"][slowest] > 0).mean()),
        anew=float(requests["dropped_tokens"].sum() / (requests["prompt_tokens"] + requests["output_tokens"]).sum()),
        ttft=float(np.nanmean(ttft(requests))),
        e2e=float(np.nanmean(response_time(requests))),
        served=frozenset(device.kind for device in cluster.devices if (steps["replica"] == device.name).any()),
    )


def blocks(device: Device) -> int:
    """KV blocks that a device has."""
    return device.kv_tokens // device.block_size


def limits(cluster: Cluster, batching: Batching) -> list[tuple[str, str]]:
    """The kind and a line for each sort of device: how many, and the engine's limits that decide what they carry."""
    lines: dict[tuple[str, str], int] = {}
    for device in cluster.devices:
        execution = (device.batching or batching).execution
        budget = execution.max_num_batched_tokens if isinstance(execution, IterationLevel) else None
        tokens = f"max_num_batched_tokens {budget:,}" if budget else "no bound on a step's tokens"
        profile = device.profile
        name = "/".join(str(getattr(profile, part)) for part in ("model", "device") if hasattr(profile, part))
        kind = f" ({profile.kind})" if hasattr(profile, "kind") else ""
        line = (
            f"{device.kind}: {name}{kind}, max_num_seqs {execution.max_num_seqs:,}, {tokens}, KV of "
            f"{device.kv_tokens:,} tokens in {blocks(device):,} blocks, max_model_len {device.max_model_len:,}"
        )
        lines[device.kind, line] = lines.get((device.kind, line), 0) + 1
    return [(kind, f"{count} x {line}") for (kind, line), count in lines.items()]


def words(found: Iterable[Evidence]) -> str:
    """The evidence of several runs in a line, means over them."""
    several = list(found)

    def mean(name: str) -> float:
        return float(np.mean([getattr(one, name) for one in several]))

    shares = ", ".join(f"{name} {100 * mean(name):.0f} %" for name in ("seats", "prefill", "blocks", "turn"))
    parts = [
        f"{mean('waited'):.3g} s of waiting a request, by {shares}",
        f"{100 * mean('mixed'):.0f} % of decoding beside prefill, {100 * mean('beside'):.0f} % of that of the 1 % "
        "slowest per token",
    ]
    if mean("anew"):
        parts.append(f"{100 * mean('anew'):.1f} % of the tokens computed anew, as requests were stopped")
    return "; ".join(parts)
