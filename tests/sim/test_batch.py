"""Who leaves a batch, and in which order."""

import math

from policies.batching.continuous import Continuous
from policies.batching.preemptive import Preemptive
from policies.eviction.swap import Swap
from policies.order.srpt import SRPT
from sim import Hold, HostMemory, Link, Prediction, Request, Scheduler, Truth
from sim.job import Job
from tests.conftest import make_device, make_policy


def test_jobs_whose_legs_end_in_one_step_leave_in_the_order_of_admission():
    scheduler = Scheduler(make_device(), make_policy(batching=Continuous()))
    whole, prefill = (Job(Request(number, 0.0, 4, Truth(2)), Prediction(2.0, 2.0)) for number in range(2))
    prefill.prefill_only = True
    left = []
    for now, job in enumerate((whole, prefill)):
        scheduler.submit(job, float(now))
        plan = scheduler.plan(float(now))
        plan.end = now + 1.0
        left.append(scheduler.commit(plan))
    assert left == [[], [whole, prefill]]
    kv = scheduler.batch.kv
    assert (kv.total - kv.free, prefill.blocks) == (1, 1)  # its KV is still to be sent
    scheduler.release(prefill)
    assert kv.free == kv.total


def test_a_scheduler_that_holds_comes_back_when_a_copy_ends():
    """At 1 s the one that runs stops for a shorter one that needs the block which goes to the host until 3 s."""
    host = HostMemory(link=Link(2.0, math.inf), copying="overlapped")
    device = make_device(kv_tokens=16, max_model_len=16, host=host)
    policy = make_policy(order=SRPT(), batching=Preemptive(max_num_seqs=1), eviction=Swap())
    scheduler = Scheduler(device, policy)
    for number, length in enumerate((9, 2)):
        job = Job(Request(number, float(number), 4, Truth(length)), Prediction(float(length), 0.0))
        scheduler.submit(job, float(number))
        plan = scheduler.plan(float(number))
        plan.end = number + 1.0
        scheduler.commit(plan)
    assert scheduler.plan(2.0) == Hold(3.0)
    (entered,) = scheduler.plan(3.0).grants
    assert entered.request.id == 1
