"""Leaping over steps in which nothing changes gives the very tables that planning each step gives."""

from cases import cases, on_several, plain, stable
from hypothesis import given, settings

from sim import Record

often = settings(stable, max_examples=400)


def assert_leap_equals_step(case):
    leaped, stepped = case.run(), case.run(leap=False)
    for name in leaped.requests:
        assert repr(leaped.requests[name].tolist()) == repr(stepped.requests[name].tolist()), name
    for name in leaped.steps:
        assert leaped.steps[name].tolist() == stepped.steps[name].tolist(), name
    assert plain(leaped) == plain(stepped)
    bare = case.run(Record.REQUESTS)
    assert plain(bare) == plain(type(bare)(leaped.requests, bare.steps, ()))


@often
@given(cases())
def test_leap_equals_step_on_one_replica(case):
    assert_leap_equals_step(case)


@often
@given(on_several())
def test_leap_equals_step_on_several_replicas(case):
    assert_leap_equals_step(case)
