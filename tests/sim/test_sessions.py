"""Closed loops: a request with a think time comes after the end of the one before it in its session."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim import Cluster, Request, Truth, simulate
from tests.conftest import LinearProfile, make_device, make_policy


def turn(number, arrival, session, think=0.0, output=3):
    return Request(number, arrival, 8, Truth(output), session=session, think=think)


def run(requests, oracle, devices=1, **more):
    cluster = Cluster(tuple(make_device(f"gpu{one}", profile=LinearProfile(0.01, 0, 0)) for one in range(devices)))
    return simulate(requests, make_policy(**more), cluster, oracle).requests


def by_id(table, column):
    return dict(zip(table["id"].tolist(), table[column].tolist(), strict=True))


def test_a_turn_comes_its_think_time_after_the_end_of_the_turn_before_it(oracle) -> None:
    table = run([turn(0, 0.0, "a"), turn(1, 0.0, "a", 2.0), turn(2, 0.0, "a", 0.5)], oracle)
    arrival, finished = by_id(table, "arrival"), by_id(table, "finished")
    assert arrival[1] == pytest.approx(finished[0] + 2.0)
    assert arrival[2] == pytest.approx(finished[1] + 0.5)


def test_a_turn_does_not_come_before_its_own_arrival(oracle) -> None:
    table = run([turn(0, 0.0, "a"), turn(1, 9.0, "a", 2.0)], oracle)
    assert by_id(table, "arrival")[1] == 9.0


def test_sessions_do_not_wait_for_one_another(oracle) -> None:
    table = run([turn(0, 0.0, "a", output=100), turn(1, 0.0, "b"), turn(2, 0.0, "b", 0.0)], oracle)
    assert by_id(table, "finished")[2] < by_id(table, "finished")[0]


def test_a_rejected_turn_ends_and_the_next_one_comes(oracle) -> None:
    class RejectFirst:
        def route(self, job, cluster):
            from sim import Leg

            return () if job.request.id == 0 else (Leg(0),)

    table = run([turn(0, 1.0, "a"), turn(1, 1.0, "a", 2.0)], oracle, routing=RejectFirst())
    assert by_id(table, "arrival")[1] == 3.0


def test_without_think_times_a_session_is_an_open_loop(oracle) -> None:
    table = run([turn(0, 0.0, "a", None), turn(1, 0.001, "a", None)], oracle)
    assert by_id(table, "arrival") == {0: 0.0, 1: 0.001}


@pytest.mark.parametrize(("session", "think"), [(None, 1.0), ("a", -1.0), ("a", float("nan")), ("a", float("inf"))])
def test_a_think_time_needs_a_session_and_finite_seconds(session, think) -> None:
    with pytest.raises(ValueError, match="think needs a session"):
        turn(0, 0.0, session, think)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 3), st.integers(1, 40)), min_size=1, max_size=30))
def test_in_a_closed_loop_no_session_has_two_requests_at_a_time(rows) -> None:
    from policies.predictor.oracle import OraclePredictor

    requests = [turn(number, 0.0, *row) for number, row in enumerate(rows)]
    tables = [
        simulate(requests, make_policy(), Cluster((make_device(),)), OraclePredictor(), leap=leap).requests
        for leap in (True, False)
    ]
    arrival, finished = by_id(tables[0], "arrival"), by_id(tables[0], "finished")
    assert finished == by_id(tables[1], "finished")
    last: dict[str, int] = {}
    for request in requests:
        if request.session in last:
            assert arrival[request.id] >= finished[last[request.session]]
        last[request.session] = request.id
