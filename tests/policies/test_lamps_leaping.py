"""LAMPS's parts under random calls, in short memories: leaping equals stepping, and every call is made once."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from policies.batching.continuous import Continuous
from policies.eviction.lamps import CallWaste
from policies.eviction.lamps import Lamps as Handling
from policies.eviction.lamps_released import LampsReleased as HandlingReleased
from policies.eviction.recompute import Recompute
from policies.order.fifo import FIFO
from policies.order.lamps import Lamps
from policies.order.lamps_released import LampsReleased
from policies.order.memory_time import MemoryTime
from policies.predictor.calls import CallErrors
from sim import Cluster, Device, HostMemory, Link, Pause, Policy, Record, Request, Truth, simulate
from tests.cases import examples, stable
from tests.conftest import LinearProfile, make_device, make_policy


def requests(draw: random.Random) -> list[Request]:
    """Some that come faster than they are served, with up to three calls each."""
    found, arrival = [], 0.0
    for number in range(draw.randint(3, 24)):
        arrival += draw.expovariate(draw.choice([2, 10, 40]))
        output = draw.randint(1, 24)
        calls = min(output - 1, draw.choice([0, 0, 1, 1, 2, 3]))
        pauses = tuple(
            Pause(emitted, draw.choice([0.0, 1e-4, 0.05, 0.5, 3.0]), draw.choice([0, 1, 5]))
            for emitted in sorted(draw.sample(range(1, output), calls))
        )
        found.append(Request(number, arrival, draw.randint(1, 30), Truth(output, pauses=pauses)))
    return found


def device(draw: random.Random) -> Device:
    """Of a short memory, and of a host of some, none or much."""
    tokens = draw.choice([0, 32, 1 << 14])
    host = HostMemory(tokens, Link(1e-3, draw.choice([1e4, 1e6])), draw.choice(["overlapped", "blocking"]))
    return make_device(
        profile=LinearProfile(0.01, 1e-3, 1e-5, 1e-4),
        kv_tokens=draw.choice([72, 96, 128, 256]),
        max_model_len=72,
        block_size=draw.choice([4, 8]),
        kv_bytes_per_token=16,
        host=host if tokens else HostMemory(0),
    )


def policy(draw: random.Random) -> Policy:
    """Both orders and evictions, with constants by which all three handlings come about."""
    order = draw.choice([Lamps, LampsReleased])(
        draw.choice([None, 1, 3, 20]), draw.choice([1, 5, 100]), draw.choice([0, 0, 1, 4, 15]), MemoryTime(4, 8)
    )
    waste = CallWaste(16, 1e-3, 0.01, draw.choice([0.0, 1e-5, 1e-3]), 0.0, draw.choice([0.0, 1e-4, 1e-2]))
    batching = Continuous(
        max_num_seqs=draw.choice([2, 4, 16]),
        max_num_batched_tokens=draw.choice([8, 16, 64]),
        watermark=draw.choice([0.0, 0.1]),
        plans_ahead=draw.choice([0, 0, 1]),
    )
    eviction = draw.choice([Handling(waste), HandlingReleased(waste), Recompute()])
    return make_policy(order=draw.choice([order, order, order, FIFO()]), batching=batching, eviction=eviction)


@settings(stable, max_examples=examples(60))
@given(st.integers(0, 1 << 20))
def test_leaping_equals_stepping_and_every_call_is_made_once(seed):
    draw = random.Random(seed)
    workload, cluster, parts = requests(draw), Cluster((device(draw),)), policy(draw)
    predictor = CallErrors(draw.choice([0.0, 0.5]), draw.choice([0.0, 0.5]), 0.0, seed, draw.choice([0.0, 0.0137]))
    leaped, stepped = (
        simulate(workload, parts, cluster, predictor, record=Record.DECISIONS, leap=leap) for leap in (True, False)
    )
    assert leaped.decisions == stepped.decisions
    for name, column in leaped.requests.items():
        assert column.tolist() == stepped.requests[name].tolist(), name
    assert set(leaped.requests["status"].tolist()) == {"finished"}
    made = dict(zip(leaped.requests["id"].tolist(), leaped.requests["calls"].tolist(), strict=True))
    assert made == {request.id: len(request.truth.pauses) for request in workload}
