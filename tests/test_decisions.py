"""No policy, system or part decides otherwise than tests/golden/policies.json has it."""

import json

import pytest

from tests import decisions
from tests.decisions import differences, entries, outcome, read

ENTRIES, GOLDEN = entries(), read()


def marked(name: str):
    """A system that decides as the policy of its name does is for make check."""
    same = name.startswith("system=") and GOLDEN.get(name) == GOLDEN.get(name.replace("system", "policy"), 0)
    return pytest.param(name, marks=pytest.mark.long if same else ())


@pytest.mark.parametrize("name", [*map(marked, ENTRIES)])
def test_decisions_and_metrics_are_as_they_were(name):
    assert name in GOLDEN, f"{name} has no entry in tests/golden/policies.json: make golden"
    changed = [*differences({name: GOLDEN[name]}, {name: outcome(ENTRIES[name])})]
    assert not changed, f"{changed[0]}: if that is meant, make golden, and review what it prints"


def test_no_entry_is_of_a_yaml_that_is_gone():
    assert GOLDEN.keys() <= ENTRIES.keys(), f"gone: {sorted(GOLDEN.keys() - ENTRIES.keys())}: make golden"


def test_memory_is_so_short_that_continuous_batches_preempt():
    preempting = {name: entry["preemptions"] for name, entry in GOLDEN.items() if name.startswith("policy/order=")}
    assert min(preempting.values()) > 10


def test_what_differs_is_named_by_entry_and_metric():
    old = {"policy=a": {"decisions": "1", "ttft_mean": 0.5}, "policy=b": {"decisions": "1", "ttft_mean": None}}
    new = {"policy=a": {"decisions": "1", "ttft_mean": 0.25}, "policy=c": {"decisions": "2", "ttft_mean": None}}
    assert [*differences(old, new)] == [
        "policy=a: ttft_mean 0.5 -> 0.25",
        "gone: policy=b",
        "new: policy=c: {'decisions': '2', 'ttft_mean': None}",
    ]
    assert [*differences(old, old)] == []


def test_the_file_is_written_anew_and_what_differs_is_printed(tmp_path, monkeypatch, capsys):
    path = tmp_path / "policies.json"
    path.write_text(json.dumps({"policy=fifo": {**GOLDEN["policy=fifo"], "preemptions": 3}}))
    monkeypatch.setattr(decisions, "GOLDEN", path)
    monkeypatch.setattr(decisions, "entries", lambda: {"policy=fifo": ENTRIES["policy=fifo"]})
    decisions.main()
    assert capsys.readouterr().out == (
        "policy=fifo: preemptions 3 -> 0\npolicies.json: 1 entries, 1 of them differ from what was there\n"
    )
    assert read() == {"policy=fifo": GOLDEN["policy=fifo"]}
