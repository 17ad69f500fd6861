"""SPEED's values, on results made by hand."""

import pandas as pd
import pytest

from experiments.papers.speed import tables
from experiments.papers.speed.tables import DEEP, LATENCY, MODEL, SYSTEMS, TASKS, UNSHARED

OWN = SYSTEMS["speed_4x3"]
SECONDS = {"cnn_dm": 1.0, "wikilingua": 1.0, "wmt_ende": 1.5}  # of the shallow model's 1, and the deep one's 3


class Stored:
    """Two seeds of each run, and requests of which one in five has a pass in vain."""

    def table(self, sweep):
        rows = []
        for task, seconds in SECONDS.items():
            for seed in (0, 1):
                at = {"trace/lengths": task, "seed": seed}
                if sweep == UNSHARED:
                    rows += [{**at, MODEL: name, LATENCY: took} for name, took in ((OWN.shallow, 1.0), (DEEP, 3.0))]
                else:
                    rows += [
                        {
                            **at, "decoding.changes": changes, "decoding.filling": filling, "run": f"{seed}",
                            LATENCY: seconds + seed * 0.02 + filling * 0.01,
                        }
                        for changes in (*OWN.changes, "[0.07, 0.07]")
                        for filling in (0, 2)
                    ]  # fmt: skip
        return pd.DataFrame(rows)

    def requests(self, sweep, run, columns):
        return pd.DataFrame({"output_tokens": [1, 2, 12, 12], "passes": [0, 1, 13, 13 + int(run)]})


def test_beside_the_shallow_model_and_the_deep_one():
    beside, over = (function(Stored(), "speed_4x3") for function in (tables.beside_shallow, tables.over_deep))
    assert len(beside) == len(over) == 2 * 2 * (len(TASKS) - 1), "tasks, rates, fillings"
    assert beside[0].where == "CNN/DM, 6 % change, filled with the prompt"
    assert beside[0].value.mean == pytest.approx(1.01)
    assert over[0].value.mean == pytest.approx(3 / 1.01)


def test_the_exception_is_slower_beside_its_shallow_model():
    found = tables.exception(Stored(), "speed_4x3")
    assert [value.mean for _, value in found] == pytest.approx([1.495, 1.4855] * 2, abs=1e-3)


def test_passes_in_vain_are_counted_by_tokens_that_are_followed():
    found = tables.in_vain(Stored(), "speed_4x3")
    assert [where for where, _ in found] == [f"{share} % change, filled with the prompt" for share in (6, 14)]
    assert found[0].value.mean == pytest.approx(100 * (4 / 20 + 5 / 20) / 2)
