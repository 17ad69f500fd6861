"""Changes against FIFO, the front, and the figures, on runs made up."""

import itertools

import numpy as np
import pandas as pd
import pytest

from experiments.papers.shootout import figures, runs, tables
from tests.door import CONF


def made(gain: float = 0.5, seeds: int = 3) -> pd.DataFrame:
    """Runs of FIFO, whose metrics are its seed's, and of others whose metrics are `gain` of that, in all cells."""
    variants = [*tables.PARTS.values(), tables.FIFO, *((name, "told", "kept") for name in ("up", "boost"))]
    rows = []
    for trace, kv, load, seed in itertools.product(runs.TRACES, tables.MEMORIES, (1.0, 1.2), range(seeds)):
        for variant in dict.fromkeys(variants):
            value = (10.0 + seed) * (1.0 if variant == tables.FIFO else gain * (1 + 0.001 * (seed % 2)))
            metrics = dict.fromkeys((*runs.METRICS, *runs.FIFTHS, runs.LONGEST, *runs.SLOS), value)
            metrics |= dict.fromkeys(("clients_jain", "clients_spread", "tau"), value)
            rows.append({**dict(zip(runs.KEYS, (trace, kv, load, *variant, seed), strict=True)), **metrics})
    return pd.DataFrame(rows)


FOUND = made()


def test_a_change_is_against_fifo_in_the_same_cell_and_seed():
    found = tables.changes(FOUND)
    own = found[(found["contender"] == "sjf") & (found["predictor"] == "told") & (found["eviction"] == "kept")]
    assert len(own) == 3 * 2 * 2
    assert [one.mean for one in own[tables.MEAN]] == pytest.approx([-50.0] * 12, abs=0.1)
    assert set(own["seeds"]) == {3}


def test_only_seeds_that_both_have_are_paired_and_a_repeated_one_counts_once():
    gap = FOUND.copy()
    srpt = (gap[list(tables.VARIANT)] == ["srpt", "told", "kept"]).all(axis=1)
    first = (gap[list(tables.VARIANT)] == list(tables.FIFO)).all(axis=1)
    gap = gap[~(first & (gap["seed"] == 0))]
    gap.loc[srpt & (gap["seed"] == 2), tables.MEAN] = np.nan
    own = tables.changes(gap).query("contender == 'srpt' and predictor == 'told' and eviction == 'kept'")
    assert set(own["seeds"]) == {1}
    assert [one.mean for one in own[tables.MEAN]] == pytest.approx([-49.95] * 12)
    twice = FOUND.copy()
    twice.loc[twice["seed"] == 2, tables.MEAN] = FOUND.loc[FOUND["seed"] == 0, tables.MEAN].to_numpy()
    assert set(tables.changes(twice)["seeds"]) == {2}


def test_over_all_cells_it_is_the_mean_of_theirs():
    doubled = FOUND.copy()
    doubled.loc[(FOUND["trace"] == "vtc") & (FOUND["contender"] != "fifo"), tables.MEAN] *= 2
    found = tables.changes(doubled, by=["load"]).set_index(list(tables.VARIANT))
    assert found.loc[("sjf", "told", "kept"), tables.MEAN].iloc[0].mean == pytest.approx(-100 / 3, abs=0.1)


def test_the_main_table_marks_what_is_certain_after_correction():
    [sjf] = tables.main(FOUND).query("contender == 'sjf'").to_dict("records")
    assert sjf["azure, ample"].startswith("-50.0 ± ")
    assert sjf["azure, ample"].endswith(" *")
    noise = np.random.default_rng(1).uniform(0.2, 3.0, len(FOUND))
    unsure = tables.main(FOUND.assign(**{tables.MEAN: FOUND[tables.MEAN] * noise}))
    assert not unsure.drop(columns="contender").stack().str.contains("*", regex=False).any()


def test_only_usual_predictors_and_evictions_are_among_the_contenders():
    own = tables.told(FOUND)
    assert set(own["contender"]) == {"fifo", "sjf", "srpt", "gittins", "gittins_waiting", "fb", "up", "boost"}
    assert set(own["eviction"]) == {"kept"}


def test_a_sweep_without_fifo_is_named():
    with pytest.raises(ValueError, match="no run of fifo, none, kept"):
        tables.changes(FOUND[FOUND["contender"] != "fifo"])


def test_the_front_are_those_that_none_beats_in_both():
    points = pd.DataFrame({"x": [1.0, 2.0, 3.0, 2.0, 1.0], "y": [3.0, 2.0, 1.0, 2.5, 3.0]})
    assert tables.front(points, "x", "y").tolist() == [True, True, True, False, True]


def test_each_contender_is_a_system_that_some_sweep_has():
    systems = {path.stem for path in (CONF / "system" / "shootout").glob("*.yaml")}
    assert {*tables.MAIN, *tables.OTHERS, *(name for name, *_ in tables.PARTS.values())} == systems


@pytest.mark.parametrize(
    "name", ["load", *(pytest.param(name, marks=pytest.mark.long) for name in figures.DRAWN if name != "load")]
)
def test_each_figure_is_drawn(name, tmp_path, capsys):
    files = figures.DRAWN[name][1](FOUND, tmp_path)
    assert files
    assert all(path.stat().st_size for path in files)


def test_labels_are_apart_and_in_order():
    placed = figures._apart([0.5, 0.5, 0.1, 0.52])
    assert sorted(range(4), key=placed.__getitem__) == [2, 0, 1, 3]
    assert np.diff(sorted(placed)).min() >= figures.APART - 1e-9
    assert figures._apart([0.97, 0.98]) == pytest.approx([0.98 - figures.APART, 0.98])


def test_what_ships_has_every_contender_in_each_cell_under_the_same_seeds():
    kept = runs.kept()
    main = tables.told(kept[kept["contender"].isin(tables.MAIN)])
    for _, cell in main.groupby(list(tables.CELL)):
        seeds = {name: frozenset(own["seed"]) for name, own in cell.groupby("contender")}
        assert set(seeds) == set(tables.MAIN)
        assert len(set(seeds.values())) == 1
    assert set(main["trace"]) == set(runs.TRACES)
