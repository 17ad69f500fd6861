"""Where a job goes, on clusters made by hand."""

import math
from dataclasses import dataclass

import pytest

from policies.disaggregation import Disaggregation
from policies.eviction import Recompute, Swap
from policies.offload import Offload
from policies.routing import LeastLoaded
from sim import Keep, Leg, Prediction, Request, Truth
from sim.job import Job


def job(uncertainty=1.0):
    return Job(Request(0, 0.0, 4, Truth(2)), Prediction(length=1.0, uncertainty=uncertainty))


@dataclass(frozen=True)
class View:
    """A replica that has so many jobs."""

    kind: str
    jobs: int = 0
    submitted: int = 0
    cached: int = 0
    free_blocks: int = 10

    @property
    def name(self):
        return self.kind

    def cached_tokens(self, job):
        return self.cached


CLUSTER = (View("cpu"), View("gpu", 5), View("gpu", 4), View("gpu", 4), View("cpu", 1))


def test_least_loaded_counts_the_jobs_of_its_kind():
    assert LeastLoaded().route(job(), CLUSTER) == (Leg(2),)  # four jobs, the first of the two replicas that have four
    assert LeastLoaded("cpu").route(job(), CLUSTER) == (Leg(0),)


@pytest.mark.parametrize(("uncertainty", "replica"), [(9.9, 2), (10.0, 2), (10.1, 0)])
def test_offload_sends_what_is_above_the_threshold_to_the_cpu(uncertainty, replica):
    assert Offload(threshold=10.0).route(job(uncertainty), CLUSTER) == (Leg(replica),)


def test_disaggregation_is_two_legs_each_on_the_least_loaded_of_its_kind():
    cluster = (View("decode", 1), View("prefill", 2), View("prefill", 1), View("decode"))
    assert Disaggregation().route(job(), cluster) == (Leg(2, prefill_only=True), Leg(3))


@pytest.mark.parametrize("routing", [LeastLoaded("tpu"), Disaggregation("gpu", "tpu")])
def test_a_kind_that_the_cluster_lacks_is_named(routing):
    with pytest.raises(ValueError, match="no device of kind 'tpu' in the cluster, which has \\['cpu', 'gpu'"):
        routing.route(job(), CLUSTER)


@pytest.mark.parametrize("threshold", [-1.0, math.nan])
def test_a_threshold_is_not_negative(threshold):
    with pytest.raises(ValueError, match=f"threshold must not be negative, got {threshold}"):
        Offload(threshold)


def test_recompute_drops_and_swap_swaps():
    assert Recompute().on_pressure(job()) is Keep.DROP
    assert Swap().on_pressure(job()) is Keep.SWAP
