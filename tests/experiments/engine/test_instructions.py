"""What a simulated request costs, in bytecode instructions, and where the traces of the cases are."""

import dataclasses
from pathlib import Path

import pytest

from experiments.engine import cases, instructions
from policies.predictor.oracle import OraclePredictor
from sim import Request, Truth, simulate


def conversations(sessions, turns):
    """As in Mooncake's trace: an id for each 512 tokens, and prompts that grow turn by turn."""
    made = []
    for number in range(sessions * turns):
        turn, session = divmod(number, sessions)
        ids = tuple(1000 * session + place for place in range(20 + 5 * turn))
        tokens = 512 * len(ids) - 100
        made.append(Request(number, 2.0 * number, tokens, Truth(60), prompt_ids=ids, id_tokens=512))
    return made


def test_prefix_caching_costs_at_most_five_times_as_much_as_none():
    requests, each = conversations(2, 3), []
    for caching in (False, True):
        case = dataclasses.replace(cases.CASES["mooncake"], replicas=1, prefix_caching=caching)
        policy, cluster = cases.parts(case)
        cost = instructions.count(lambda: simulate(requests, policy, cluster, OraclePredictor()))  # noqa: B023
        each.append(sum(cost.values()) / len(requests))
    without, with_it = each
    print(with_it, without)
    assert with_it < 5 * without


@pytest.mark.parametrize(
    ("name", "path"),
    [("few_seats", Path("here.csv")), ("mooncake", cases.MOONCAKE), ("waiting_100k", None)],
)
def test_a_case_knows_the_trace_that_it_replays(name, path):
    assert cases.CASES[name].trace(Path("here.csv")) == path


def test_a_trace_that_is_not_there_is_named(capsys):
    with pytest.raises(SystemExit):
        instructions.main(["--azure", "nowhere.csv"])
    assert "no trace at nowhere.csv" in capsys.readouterr().err
