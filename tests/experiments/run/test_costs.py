"""What requests take is added up over those that finished, where a profile says it."""

import numpy as np

from experiments.run.costs import costs
from sim import Cluster
from tests.conftest import LinearProfile, make_device


class Told(LinearProfile):
    held = frozenset({"held_bytes"})

    def account(self, prompt_tokens, output_tokens):
        return {"flops": 10.0 * prompt_tokens, "held_bytes": float(prompt_tokens + output_tokens)}


TABLE = {
    "status": np.array(["finished", "finished", "finished", "rejected", "finished"]),
    "replica": np.array(["told", "told", "told", "told", "other"]),
    "prompt_tokens": np.array([5, 5, 7, 100, 9]),
    "output_tokens": np.array([1, 1, 2, 1, 1]),
}


def test_costs_are_summed_and_what_is_held_is_the_largest():
    cluster = Cluster((make_device("told", profile=Told()), make_device("other")))
    assert costs(cluster, TABLE) == {"costs": {"flops": 170.0, "held_bytes": 9.0}}


def test_nobody_says_nothing():
    assert costs(Cluster((make_device("told"), make_device("other"))), TABLE) == {}
