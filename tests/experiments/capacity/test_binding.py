"""What binds is told from steps: a replica that lacks seats, tokens of a step, blocks, or is slow itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from experiments.capacity.binding import blocks, evidence, limits
from policies.batching.continuous import Continuous
from sim import Cluster, Record, Request, Truth, simulate
from sim.metrics import tpot
from tests.conftest import make_device, make_policy, poisson_requests


def looked_at(oracle, rate, prompt, output, **batching):
    device = make_device(kv_tokens=batching.pop("kv_tokens", 1 << 20))
    policy = make_policy(batching=Continuous(**batching))
    requests = poisson_requests(rate, 300, 4, prompt=prompt, mean_output=output)
    tables = simulate(requests, policy, Cluster((device,)), oracle, record=Record.STEPS)
    return evidence(Cluster((device,)), policy.batching, tables.requests, tables.steps)


def test_seats_bind_where_few_may_run(oracle):
    found = looked_at(oracle, 20.0, 10, 50, max_num_seqs=4)
    assert found.seats > 0.9
    assert found.binds("ttft") == "seats"
    assert found.binds("tpot") == "decode"


def test_prefill_binds_where_prompts_fill_the_steps(oracle):
    found = looked_at(oracle, 8.0, 2000, 5, max_num_seqs=4096)
    assert found.prefill > 0.9
    assert found.mixed > 0.9
    assert found.binds("ttft") == found.binds("tpot") == found.binds("e2e") == "prefill"


def test_blocks_bind_where_memory_is_short(oracle):
    found = looked_at(oracle, 20.0, 100, 50, max_num_seqs=4096, kv_tokens=1600)
    assert found.blocks > 0.5
    assert found.binds("ttft") == "blocks"


def test_the_pace_is_told_from_the_slowest(oracle):
    """A long prompt among short ones holds up the answers that come beside it, and few others."""
    device, policy = make_device(kv_tokens=1 << 20), make_policy(batching=Continuous())
    requests = [Request(number, 0.5 * number, 10, Truth(60)) for number in range(100)]
    requests[49:51] = [Request(49, 25.0, 10, Truth(20)), Request(50, 25.03, 20_000, Truth(60))]
    tables = simulate(requests, policy, Cluster((device,)), oracle, record=Record.STEPS)
    found = evidence(Cluster((device,)), policy.batching, tables.requests, tables.steps)
    assert found.mixed < 0.5 < found.beside
    assert found.binds("tpot") == found.binds("itl") == "prefill"
    slowest, steps = int(np.nanargmax(tpot(tables.requests))), tables.steps
    first, last = (tables.requests[name][slowest] for name in ("first_token", "finished"))
    own = (steps["end"] > first) & (steps["end"] <= last)
    seconds = [steps["seconds"][own & which].sum() for which in (own, steps["prefill_tokens"] > 0)]
    assert seconds[1] > 0.5 * seconds[0], "by its own steps, too"


def test_where_nobody_waits_it_is_the_steps_themselves(oracle):
    found = looked_at(oracle, 0.2, 100, 50)
    assert found.waited < 0.01
    assert found.binds("ttft") == "prefill"
    assert found.binds("tpot") == found.binds("e2e") == "decode"
    assert replace(found, stopped=0.9).binds("itl") == "preemption"
    assert replace(found, stopped=0.9, blocks=0.9).binds("tpot") == "blocks"


def test_shares_are_of_all_waiting(oracle):
    found = looked_at(oracle, 20.0, 400, 50, max_num_seqs=8)
    assert found.seats + found.prefill + found.blocks + found.turn == pytest.approx(1)
    assert found.served == {"gpu"}
    assert found.ttft < found.e2e


def test_the_engines_limits_are_told_once_for_devices_that_are_alike():
    devices = [make_device(f"gpu{number}") for number in range(3)]
    lines = limits(Cluster((*devices, make_device("cpu", "cpu"))), Continuous(max_num_batched_tokens=None))
    assert [kind for kind, _ in lines] == ["gpu", "cpu"]
    assert lines[0][1].startswith("3 x gpu: ")
    assert "max_num_seqs 128, no bound on a step's tokens, KV of 1,048,576 tokens in 65,536 blocks" in lines[0][1]
    assert blocks(devices[0]) == 65_536 == np.floor((1 << 20) / 16)
