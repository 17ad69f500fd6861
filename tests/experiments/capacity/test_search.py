"""The search for a capacity: it finds the edge, says where there is none, and its intervals cover."""

from __future__ import annotations

import math

import numpy as np
import pytest

from experiments.capacity.candidates import least
from experiments.capacity.search import (
    Bracket,
    Capacity,
    Grid,
    bisect,
    compared,
    more_seeds,
    within_grid,
)

GRID = Grid(0.01)


def searched(holds, start: int = 0, stride: int = 4, lowest: int = -900, highest: int = 1400) -> tuple[Bracket, int]:
    """The bracket of a run that `holds` at a place or does not, and how many tries it took."""
    bracket = Bracket()
    search = bisect(bracket, start, stride, lowest, highest, GRID.probes)
    place = next(search)
    for count in range(1, 100):
        try:
            place = search.send(holds(place))
        except StopIteration:
            return bracket, count
    raise AssertionError("it does not end")


@pytest.mark.parametrize("edge", [-899, -300, -1, 0, 1, 7, 333, 1399])
@pytest.mark.parametrize("start", [-900, 0, 300, 1400])
def test_it_ends_at_the_edge_between_two_neighbours(edge, start):
    bracket, count = searched(lambda place: place < edge, start)
    assert (bracket.low, bracket.high) == (edge - 1, edge)
    assert count < 36
    assert not bracket.doubtful


def test_where_there_is_no_edge_it_says_so():
    never, _ = searched(lambda place: False)
    always, _ = searched(lambda place: True)
    assert (never.low, always.high) == (None, None)
    assert Capacity.of({0: never}, GRID).each == {0: 0.0}
    assert Capacity.of({0: always}, GRID).each == {0: math.inf}
    assert not Capacity.of({0: never, 1: searched(lambda place: place < 9)[0]}, GRID).known


def test_an_edge_that_is_not_sharp_is_doubtful():
    bracket, _ = searched(lambda place: place < 20)
    bracket.tried[28] = True  # by the curve, say
    assert bracket.doubtful
    assert Capacity.of({0: bracket, 1: searched(lambda place: place < 20)[0]}, GRID).doubtful == 1


@pytest.mark.parametrize("gap", [10, 11, 12, 13, 15, 17])
def test_a_miss_just_below_the_edge_moves_it_there(gap):
    bracket, _ = searched(lambda place: place < 20 and place != gap)
    assert (bracket.low, bracket.high) == ((gap - 1, gap) if gap in bracket.tried else (19, 20))
    assert gap in bracket.tried or 19 - gap not in GRID.probes
    assert all(holds for place, holds in bracket.tried.items() if place <= bracket.low)
    assert all(bracket.tried[bracket.low - depth] for depth in GRID.probes)
    nowhere, _ = searched(lambda place: place == 5, start=5)
    assert nowhere.low is None  # nothing holds below its one place


def test_probes_are_as_far_below_on_every_grid():
    assert (Grid(0.01).probes, Grid(0.02).probes, Grid(0.3).probes) == ([2, 4, 8], [1, 2, 4], [])


def test_the_grid_is_one_for_all_and_its_rates_have_five_digits():
    assert [GRID.rate(place) for place in (-1, 0, 1, 232)] == [0.9901, 1.0, 1.01, 10.059]
    assert all(GRID.place(GRID.rate(place)) == place for place in range(-900, 1400, 7))


def capacity(values, grid=GRID):
    brackets = {seed: Bracket(grid.place(value), grid.place(value) + 1) for seed, value in enumerate(values)}
    return Capacity.of(brackets, grid)


def test_an_interval_has_the_grid_in_it_and_one_observation_has_none():
    same = capacity([8.0] * 5)
    assert same.interval.half_width == pytest.approx(0.005 * same.interval.mean)
    assert same.relative == pytest.approx(0.005)
    assert math.isnan(Capacity.of({0: Bracket(10, 11), 1: Bracket(10, 11)}, GRID, same=True).interval.half_width)
    spread = capacity([8.0, 9.0, 10.0])
    assert spread.interval.half_width > within_grid([9.0, 9.0, 9.0], GRID).half_width + 1.0
    assert spread.held_in_all == pytest.approx(8.0, rel=0.01)


def test_a_paired_difference_is_narrower_than_the_rates_are():
    rng = np.random.default_rng(5)
    shared = rng.normal(20, 2, 9)
    ours, theirs = capacity(1.1 * shared), capacity(shared)
    assert compared(ours, theirs).mean == pytest.approx(10, abs=0.5)
    assert compared(ours, theirs).half_width < 1 < 100 * ours.relative


def test_seeds_are_added_until_it_is_narrow():
    narrow, wide = capacity([8.0] * 5), capacity([7.0, 8.0, 9.0, 8.0, 8.0])
    assert more_seeds([narrow], 0.03, 20) == 0
    assert 6 <= more_seeds([narrow, wide], 0.1, 20) <= 20
    assert more_seeds([wide], 0.001, 20) == 20


def test_intervals_cover_with_the_rule_that_adds_seeds():
    """Capacities of seeds that vary as those of Azure's conversations do, 4 % from one to the next, skewed or not."""
    rng = np.random.default_rng(28)
    for draw in (lambda count: rng.normal(20, 0.8, count), lambda count: 18.8 + rng.gamma(2, 0.6, count)):
        covered = []
        for _ in range(400):
            values = draw(20)
            count = 5
            while (more := more_seeds([found := capacity(values[:count])], 0.03, 20)) > count:
                count = more
            covered.append(abs(found.interval.mean - 20) <= found.interval.half_width)
        assert 0.92 <= np.mean(covered) <= 0.995


@pytest.mark.parametrize("most", [1, 5, 16])
def test_the_fewest_that_are_enough_are_found_in_few_tries(most):
    for enough in range(1, most + 1):
        tried = []
        assert least(lambda count: tried.append(count) or count >= enough, most) == enough  # noqa: B023
        assert len(tried) == len(set(tried)) <= 8
    assert least(lambda count: False, most) is None
