"""Client or server, layer by layer: the dynamic program against all placements, and greedy rules beside it."""

import itertools
import time

import numpy as np
import pytest

from policies.placement import (
    Costs,
    InUnits,
    Placement,
    best_ratio,
    dynamic,
    least_seconds,
    longest_prefix,
    placed,
    server_only,
)

DELTA = 0.001  # s


def whole(rng: np.random.Generator, layers: int) -> Costs:
    """Costs in whole units, and in whole work, so that sums are exact."""
    client, server, up, down = (DELTA * rng.integers(0, most, layers) for most in (40, 8, 12, 6))
    return Costs(client, server, rng.integers(0, 20, layers), up, down)


def real(rng: np.random.Generator, layers: int) -> Costs:
    client, server, up, down = (DELTA * rng.uniform(0, most, layers) for most in (40, 8, 12, 6))
    return Costs(client, server, rng.integers(0, 20, layers), up, down)


def by_brute_force(costs: Costs, sla: float) -> tuple[float, float] | None:
    """The least work, and the least seconds with it, of all placements that keep `sla`; None: none does."""
    chosen = np.array(list(itertools.product((0, 1), repeat=costs.layers)))
    places = np.pad(chosen, ((0, 0), (1, 1)))
    seconds = costs.edges()[np.arange(costs.layers + 1), places[:, :-1], places[:, 1:]].sum(axis=1)
    works = chosen @ costs.work
    kept = seconds <= sla + 1e-9
    least = works[kept].min(initial=np.inf)
    return (float(least), float(seconds[kept & (works == least)].min())) if kept.any() else None


def test_it_is_what_trying_all_placements_finds():
    rng, unservable, switched = np.random.default_rng(0), 0, 0
    for _ in range(200):
        costs = whole(rng, int(rng.integers(1, 11)))
        sla = DELTA * int(rng.integers(0, 16 * costs.layers))
        best = by_brute_force(costs, sla)
        if best is None:
            unservable += 1
            with pytest.raises(ValueError, match=f"the least latency is {least_seconds(costs):g} s"):
                dynamic(costs, sla, DELTA)
            continue
        found = dynamic(costs, sla, DELTA)
        assert (found.work, found.seconds) == (best[0], pytest.approx(best[1], abs=1e-9))
        assert found == placed(costs, found.at_server)
        switched += found.switches > 2
    assert 10 < unservable < 100
    assert switched > 10


def test_rounding_up_keeps_the_sla_and_loses_no_more_than_a_unit_a_layer():
    rng = np.random.default_rng(1)
    for _ in range(60):
        costs = real(rng, int(rng.integers(1, 11)))
        sla = least_seconds(costs) + DELTA * (costs.layers + 1) + rng.uniform(0, 0.05)
        found = dynamic(costs, sla, DELTA)
        best, lost = by_brute_force(costs, sla), by_brute_force(costs, sla - DELTA * (costs.layers + 1))
        assert found.seconds <= sla
        assert best[0] <= found.work <= lost[0]


@pytest.mark.parametrize("greedy", [longest_prefix, best_ratio, server_only])
def test_no_greedy_rule_does_better(greedy):
    rng, behind = np.random.default_rng(2), 0
    for _ in range(100):
        costs = whole(rng, int(rng.integers(1, 16)))
        sla = server_only(costs, 1e9).seconds * rng.uniform(1, 3)
        sla = DELTA * int(sla / DELTA + 1)
        best, found = dynamic(costs, sla, DELTA), greedy(costs, sla)
        assert found.seconds <= sla + 1e-9
        assert best.work <= found.work <= costs.work.sum()
        behind += best.work < found.work
    assert behind > 10


def test_more_time_is_never_more_work():
    rng = np.random.default_rng(3)
    for _ in range(20):
        costs = real(rng, 12)
        works = [dynamic(costs, sla, DELTA / 4).work for sla in np.linspace(least_seconds(costs) + 0.01, 0.6, 12)]
        assert works == sorted(works, reverse=True)
        assert works[0] > 0
        assert works[-1] == 0  # the client does it all


def test_a_client_as_fast_as_the_server_does_it_all():
    costs = Costs([0.01] * 4, [0.01] * 4, [1.0] * 4, [0.02] * 4, [0.02] * 4)
    for rule in (lambda *given: dynamic(*given, DELTA), longest_prefix):
        assert rule(costs, 0.04) == Placement((False,) * 4, 0.0, pytest.approx(0.04))
    assert dynamic(costs, 0.1, DELTA).switches == 0


def test_it_may_come_back_and_go_again():
    """The layers in the middle are cheap for the client, and small to move; no prefix of it has them."""
    costs = Costs([9, 1, 1, 9], [1, 1, 1, 1], [5, 5, 5, 5], [0, 1, 1, 1], [1, 1, 1, 0])
    found = dynamic(costs, 8, 1)
    assert found.at_server == (True, False, False, True)
    assert (found.work, found.seconds, found.switches) == (10, 6, 4)
    assert longest_prefix(costs, 8).work == 20


def test_best_ratio_takes_what_saves_most_for_a_second():
    costs = Costs([4, 2, 3], [1, 1, 1], [3, 2, 9], [0, 0, 0], [0, 0, 0])
    assert best_ratio(costs, 5).at_server == (True, True, False)  # 4.5 work/s, before 1 and 2
    assert best_ratio(costs, 6).at_server == (True, False, False)
    assert best_ratio(costs, 3).at_server == (True, True, True)


def test_of_equal_placements_it_is_the_one_that_stays_longest_at_the_client():
    nothing = np.zeros(3)
    assert dynamic(Costs(nothing, nothing, nothing, nothing, nothing), 1, 1).at_server == (False,) * 3
    assert dynamic(Costs([0, 0, 9], nothing, nothing, nothing, nothing), 1, 1).at_server == (False, False, True)
    alike = Costs([2, 2], [1, 1], [1, 1], [0, 0], [0, 0])
    assert best_ratio(alike, 3).at_server == (False, True)


def test_floats_do_not_cost_a_placement_that_keeps_the_sla_to_the_last_digit():
    assert 0.1 + 0.2 > 0.3
    assert 0.3 / 0.1 < 3
    assert longest_prefix(Costs([0.1, 0.2], [1, 1], [1, 1], [1, 1], [1, 1]), 0.3).work == 0
    assert dynamic(Costs([0.1] * 3, [1] * 3, [1] * 3, [1] * 3, [1] * 3), 0.3, 0.1).work == 0
    assert InUnits(3)(Costs([0.1] * 3, [1] * 3, [1] * 3, [1] * 3, [1] * 3), 0.3).work == 0


def test_what_is_wrong_is_said():
    with pytest.raises(ValueError, match="units must be from 1 to 10,000,000, got 0"):
        InUnits(0)
    good = Costs([1, 1], [1, 1], [1, 1], [1, 1], [1, 1])
    with pytest.raises(ValueError, match=r"up of layer 1 must be finite, not negative, got -1\.0"):
        Costs([1, 1], [1, 1], [1, 1], [1, -1], [1, 1])
    with pytest.raises(ValueError, match=r"work of layer 0 must be finite, not negative, got nan"):
        Costs([1], [1], [float("nan")], [1], [1])
    with pytest.raises(ValueError, match="down has 1 values, and there are 2 layers"):
        Costs([1, 1], [1, 1], [1, 1], [1, 1], [1])
    with pytest.raises(ValueError, match="of one layer at least"):
        Costs([], [], [], [], [])
    with pytest.raises(ValueError, match="delta must be positive, got 0"):
        dynamic(good, 3, 0)
    with pytest.raises(ValueError, match="SLA must be finite and not negative, got -1"):
        dynamic(good, -1, 1)
    with pytest.raises(ValueError, match=r"SLA of 1 s: the least latency is 2 s, in units of 0\.7 s 2\.8 s"):
        dynamic(good, 1, 0.7)
    with pytest.raises(ValueError, match="least latency is 2 s, all at the server 4 s"):
        best_ratio(good, 3)
    with pytest.raises(ValueError, match="no client prefix keeps it"):
        longest_prefix(good, 1)


def test_96_layers_take_well_under_a_second():
    rng = np.random.default_rng(4)
    costs = real(rng, 96)
    start = time.process_time()
    found = dynamic(costs, 1.0, 0.0005)
    assert time.process_time() - start < 0.5
    assert found.seconds <= 1.0
