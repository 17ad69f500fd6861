"""What is kept count of is what a look at each replica says."""

import dataclasses
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.eviction.recompute import Recompute
from policies.order.fifo import FIFO
from policies.predictor.oracle import OraclePredictor
from sim import Cluster, Leg, Policy, Request, Truth, simulate
from sim.engine.tally import Ladder
from sim.replicas import Group, Replicas
from tests.cases import Continuous, examples, on_several, plain, sharing, stable
from tests.conftest import make_device

few = settings(stable, max_examples=examples(150))


@dataclass(frozen=True)
class Looking:
    """As `routing`, which is handed a tuple of views, and loops over them."""

    routing: object

    def route(self, job, cluster):
        return self.routing.route(job, tuple(cluster))


def most_of(group):
    """The jobs of the one with the fewest."""
    return group.views[group.fewest_jobs()].jobs


@dataclass(frozen=True)
class Asking:
    """As `routing`; what groups say is compared with what their views say, which are looked at afterwards."""

    routing: object

    def route(self, job, cluster):
        for group in (cluster.all, cluster.of_kind(cluster[-1].kind), cluster.of_model(cluster[0].model)):
            plainly = Group(tuple(cluster), group.numbers)
            for ask in (
                lambda one: one.fewest_submitted(),
                lambda one: one.submitted_within(0.1),
                lambda one: one.most_cached(job, 30),
                lambda one: one.most_cached(job, most_of(one)),
                lambda one: one.fewest_jobs(),
                lambda one: one.jobs,
            ):
                assert ask(group) == ask(plainly)
        return self.routing.route(job, cluster)


def routed(case, kind):
    policy = dataclasses.replace(case.policy, routing=kind(case.policy.routing))
    return plain(dataclasses.replace(case, policy=policy).run())


@few
@given(on_several() | on_several(sharing, caching=True))
def test_a_run_is_the_same_whether_counts_are_kept_or_each_replica_is_looked_at(case):
    assert plain(case.run()) == routed(case, Looking)


@few
@given(on_several() | on_several(sharing, caching=True))
def test_groups_say_what_their_views_say(case):
    routed(case, Asking)


@few
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(-2, 2)), max_size=30))
def test_the_first_of_a_ladder_has_the_least(changes):
    counts = dict.fromkeys(range(5), 0)
    ladder = Ladder(dict(counts))
    for number, by in changes:
        counts[number] += by
        ladder.change(number, by)
        ordered = sorted((count, number) for number, count in counts.items())
        assert [*ladder] == ordered
        assert ladder.least() == ordered[0]
        assert ladder.total == sum(counts.values())


def test_who_is_not_chosen_is_not_brought_up_to_date():
    """Each of nine replicas decodes one answer; those that come then go to the first."""
    done = []

    @dataclass(frozen=True)
    class First:
        def route(self, job, cluster):
            assert cluster.of_kind("gpu").jobs == job.request.id
            done.append([view._replica.iterations for view in cluster])
            return (Leg(job.request.id if job.request.id < 9 else 0),)

    requests = [Request(number, 0.0 if number < 9 else 0.01 * number, 4, Truth(500)) for number in range(30)]
    devices = tuple(make_device(name=f"gpu{number}") for number in range(9))
    simulate(requests, Policy(FIFO(), Continuous(), First(), Recompute()), Cluster(devices), OraclePredictor())
    first, *others = zip(*done[10:], strict=True)
    assert first[0] < first[-1]
    assert [len(set(one)) for one in others] == [1] * 8


def test_a_group_that_nobody_is_in_is_refused():
    with pytest.raises(ValueError, match=r"no device serves 'x' in the cluster, which has \[\]"):
        Replicas(()).of_model("x")
