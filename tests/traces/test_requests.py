"""A trace's rows as requests: all at once, or as they are asked for."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from sim import Request, Truth
from traces.kinds import KINDS
from traces.requests import CHUNK, one_by_one, to_requests

ROWS = CHUNK + 5


def test_one_by_one_they_are_the_same() -> None:
    at = np.arange(ROWS)
    table = pd.DataFrame({"arrival": at / 4, "prompt_tokens": at % 7 + 1, "output_tokens": at % 5 + 2})
    gaps = np.where(at % 3 == 0, np.nan, at / 4 + 9)
    table = table.assign(max_tokens=50, client=[f"client {number % 11}" for number in at], deadline=gaps)
    table = table.assign(pauses=[[[1, 0.5, 3]] if number % 2 else [] for number in at])
    table = table.assign(samples=[[number % 9 + 1] for number in at], **{kind: at % 2 for kind in KINDS})
    assert list(one_by_one(table)) == to_requests(table)
    assert [request.id for request in one_by_one(table)] == at.tolist()


def test_what_a_row_has_not_is_as_if_it_were_not_said() -> None:
    table = pd.DataFrame({"arrival": [0.0, 1.0], "prompt_tokens": [4, 5], "output_tokens": [2, 3]})
    assert to_requests(table) == [Request(0, 0.0, 4, Truth(2)), Request(1, 1.0, 5, Truth(3))]
    gaps = table.assign(priority=[np.nan, 2.0], id_tokens=[np.nan, 8.0], session=["a", None], think=[np.nan, np.nan])
    assert to_requests(gaps) == [
        Request(0, 0.0, 4, Truth(2), session="a"), Request(1, 1.0, 5, Truth(3), priority=2.0, id_tokens=8),
    ]  # fmt: skip
    assert to_requests(table.head(0)) == list(one_by_one(table.head(0))) == []


PLAIN = pd.DataFrame({"arrival": [0.0, 1.0], "prompt_tokens": [4, 5], "output_tokens": [2, 3], "max_tokens": [2, 9]})


def test_rows_that_nothing_is_asked_of_are_what_the_constructors_make() -> None:
    table = PLAIN.assign(prompt_text=["a", None], client=["b", "c"], priority=[np.nan, 2.0], id_tokens=[1, 8])
    table = table.assign(**{kind: [1, 2] for kind in KINDS})
    features = {number: (float(number),) * len(KINDS) for number in (1, 2)}
    made = to_requests(table)
    assert made == [
        Request(0, 0.0, 4, Truth(2), 2, "a", features[1], "b"),
        Request(1, 1.0, 5, Truth(3), 9, None, features[2], "c", priority=2.0, id_tokens=8),
    ]
    assert [hash(one) for one in made] == [hash(replace(one)) for one in made]
    assert pickle.loads(pickle.dumps(made)) == made
    for one in made:
        with pytest.raises(AttributeError):
            one.arrival = 3.0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("column", "cell", "why"),
    [
        ("arrival", -1.0, "arrival must be finite and not negative, got -1.0"),
        ("arrival", np.inf, "arrival must be finite and not negative, got inf"),
        ("arrival", np.nan, "arrival must be finite and not negative, got nan"),
        ("prompt_tokens", 0, "prompt_tokens must be at least 1, got 0"),
        ("output_tokens", 0, "output_tokens must be at least 1, got 0"),
        ("output_tokens", 10, "output_tokens 10 exceed max_tokens 9"),
        ("output_tokens", 2**53 + 1, f"output_tokens {2**53 + 1} exceed max_tokens {2**53}"),
    ],
)
def test_a_row_that_no_request_can_be_is_refused(column: str, cell: float, why: str) -> None:
    caps = [9, 2**53 if cell == 2**53 + 1 else 9]
    with pytest.raises(ValueError, match=why):
        to_requests(PLAIN.assign(max_tokens=caps, **{column: [PLAIN[column][0], cell]}))


def test_columns_of_other_types_give_pythons_own_numbers() -> None:
    for kind in ("Int64", "int64[pyarrow]", pd.SparseDtype("int64", 0), "int32", object):
        table = PLAIN.assign(**{name: PLAIN[name].astype(kind) for name in ("prompt_tokens", "output_tokens")})
        assert to_requests(table) == to_requests(PLAIN)
        for one in to_requests(table):
            assert type(one.prompt_tokens) is type(one.truth.output_tokens) is int
    gaps = PLAIN.assign(max_tokens=pd.array([2, None], "int64[pyarrow]"))
    assert [one.max_tokens for one in to_requests(gaps)] == [2, None]
