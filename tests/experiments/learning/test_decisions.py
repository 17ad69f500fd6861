"""The environment's speed, and a routing's: a line for each."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("gymnasium", reason="the environment needs the learn extra")

from experiments.learning import decisions


@pytest.mark.long
def test_speeds_are_told(capsys):
    assert decisions.main(["--decisions", "50", "--processes", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert all(float(re.split(r"  +", line)[1].split()[0]) > 0 for line in lines)
    assert lines[-1].startswith("policy.overhead.route_seconds")


def test_a_network_that_is_not_there_is_told_before_anything_is_measured(capsys):
    assert decisions.main(["--decisions", "1", "--network", "nowhere.npz"]) == 1
    assert "tokenyard engine decisions: no network 'nowhere.npz'" in capsys.readouterr().err
