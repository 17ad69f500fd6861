"""Who leaves a batch, and in which order."""

from policies.batching.continuous import Continuous
from sim import Prediction, Request, Scheduler, Truth
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
