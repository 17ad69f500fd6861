"""Any metric against any setting: names made whole, means and paired changes, nothing covered, errors that teach."""

from __future__ import annotations

import argparse
import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from experiments.figures import charts, gain_by_tau, response_time
from experiments.figures.chosen import REST, Chosen, chosen, one_of, only
from experiments.figures.figure import draw, label_of
from experiments.figures.points import VALUE, changes, points
from experiments.tables.stats import quantile
from tests.experiments.figures.overlap import covered
from tests.experiments.figures.test_gain_by_tau import made as predictors
from tests.experiments.figures.test_response_time import make_table


def made(policies=("fifo", "sjf"), rates=(2.0, 4.0), seeds=3, **more: tuple) -> pd.DataFrame:
    """A collected table in which sjf takes half of fifo's time on every seed, and each setting of `more` is swept."""
    rows = [
        {"policy": policy, "trace": "made", **dict(zip(more, values, strict=True)), "seed": seed, "trace.rate": rate}
        for policy, rate, seed, *values in itertools.product(policies, rates, range(seeds), *more.values())
    ]
    table = pd.DataFrame(rows)
    table["run"] = [f"{number:016x}" for number in range(len(table))]
    table["inputs.replay"] = table["seed"].map(str) + table["trace.rate"].map(str)
    factor = table["policy"].map(lambda name: 0.5 if name == "sjf" else 1.0)
    table["ttft_p99"] = factor * table["trace.rate"] * (1 + table["seed"])
    return table.assign(
        rejected=0, censored=0, **{"provenance.trace": "synthetic: made up", "provenance.gpu": "a/b (c)"}
    )


def asked(**given: object) -> argparse.Namespace:
    nothing = dict.fromkeys(("x", "y", "cdf", "heat", "hue", "row", "col", "reference"), "")
    return argparse.Namespace(**{**nothing, "only": [], "tail": False, "scale": "auto", **given})


def texts(figure: Figure) -> str:
    found = [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))]
    return "\n".join(found)


def test_the_last_part_of_a_name_is_enough_and_a_slip_is_told_with_what_there_is():
    known = ["policy", "trace.rate", "policy/order", "policy.order.alpha"]
    assert one_of("rate", known, "setting") == "trace.rate"
    assert one_of("policy", known, "setting") == "policy"
    with pytest.raises(
        ValueError, match=r"^no setting rte; did you mean trace\.rate\?; there are policy, trace\.rate, "
    ):
        one_of("rte", known, "setting")
    with pytest.raises(ValueError, match=r"rate is one of trace\.rate, calls\.rate: say which"):
        one_of("rate", ["trace.rate", "calls.rate"], "setting")


def test_a_metric_with_a_slip_names_the_metrics():
    with pytest.raises(ValueError, match=r"no metric ttft_p9; did you mean ttft_p99\?; there are ttft_p99, rejected"):
        draw(made(), {}, asked(x="rate", y="ttft_p9"))


def test_what_else_differs_gets_panels_and_where_there_is_no_room_is_told():
    table, along = chosen(made(trace=("one", "other")), Chosen(x="rate"))
    assert (along.hue, along.row, along.col) == ("policy", "trace", "")
    table, along = chosen(made(trace=("one", "other"), load=(1, 2)), Chosen(x="rate"))
    assert along.row == REST
    assert set(table[REST]) == {f"trace={name}, load={load}" for name in ("one", "other") for load in (1, 2)}
    with pytest.raises(ValueError, match=r"the runs differ in trace.rate too: choose with --only .*is 2, 4"):
        chosen(made(trace=("one", "other"), load=(1, 2)), Chosen(x="policy", row="trace", col="load"))


def test_only_leaves_the_other_runs_out_and_a_value_that_is_not_there_is_told():
    assert set(only(made(), ["rate=4"])["trace.rate"]) == {4.0}
    assert len(only(made(), ["policy=fifo,sjf", "rate=2"])) == 6
    with pytest.raises(ValueError, match=r"no run has policy=lifo; there are fifo, sjf"):
        only(made(), ["policy=lifo"])


def test_a_point_is_the_mean_over_seeds_with_its_interval():
    found = points(made(), ["policy", "trace.rate"], "ttft_p99").set_index(["policy", "trace.rate"])
    value = found.loc[("fifo", 4.0), VALUE]
    assert value.mean == pytest.approx(8.0)
    assert value.half_width == pytest.approx(quantile(3) * 4.0 / np.sqrt(3))
    assert found["seeds"].tolist() == [3] * 4


def test_a_change_is_of_paired_seeds_so_that_what_they_share_is_not_in_its_interval():
    table, along = chosen(made(), Chosen(x="rate"), "fifo")
    found = changes(table, along.names, "ttft_p99", "fifo")
    assert set(found["policy"]) == {"sjf"}
    assert [one.mean for one in found[VALUE]] == pytest.approx([-50.0, -50.0])
    assert not any(one.half_width > 1e-9 for one in found[VALUE])
    other = table.assign(**{"inputs.replay": table["run"]})
    with pytest.raises(ValueError, match=r"not paired: run .* replayed other requests than those of fifo"):
        changes(other, along.names, "ttft_p99", "fifo")
    with pytest.raises(ValueError, match="no run is of reference=lifo; there is fifo, sjf"):
        changes(table, along.names, "ttft_p99", "lifo")


def test_a_change_is_taken_at_equal_values_of_a_knob_that_both_policies_have():
    table = made(**{"policy.batching.max_num_seqs": (16, 64)})
    table.insert(1, "policy/order", table["policy"])
    table["ttft_p99"] *= table["policy.batching.max_num_seqs"]
    table, along = chosen(table, Chosen(x="rate", hue="max_num_seqs"), "fifo")
    assert along.row == "policy"
    found = changes(table, along.names, "ttft_p99", "fifo")
    assert [one.mean for one in found[VALUE]] == pytest.approx([-50.0] * 4)


def test_two_runs_of_a_seed_are_refused():
    with pytest.raises(ValueError, match=r"two runs at policy=fifo, trace\.rate=2, seed=0: they differ in nothing"):
        points(pd.concat([made(), made()], ignore_index=True), ["policy", "trace.rate"], "ttft_p99")


@pytest.mark.parametrize("count", [2, 9, 24])
def test_no_legend_covers_a_point_however_many_lines(count: int):
    names = ("fifo", *(f"policy number {number} of some length" for number in range(count - 1)))
    figure = draw(made(names), {}, asked(x="rate", y="ttft_p99", hue="policy"))
    assert covered(figure) == []
    assert all(name in texts(figure) for name in names)
    colours = {(line.get_color(), line.get_marker()) for line in figure.axes[0].lines if line.get_label()[0] == "_"}
    assert len(colours) >= count


def test_an_axis_has_the_unit_of_its_setting_too():
    for kind in ({"y": "ttft_p99"}, {"heat": "ttft_p99", "y": "policy"}):
        assert "rate (requests/s)" in [axes.get_xlabel() for axes in draw(made(), {}, asked(x="rate", **kind)).axes]


def test_the_measure_finds_a_legend_that_covers_points():
    figure = draw(made(), {}, asked(x="rate", y="ttft_p99", hue="policy"))
    place = figure.axes[0]
    at = {"loc": "center", "bbox_to_anchor": place.lines[0].get_xydata()[0], "bbox_transform": place.transData}
    place.legend(handles=place.lines[:1], labels=["a"], **at)
    assert any("under a legend" in said for said in covered(figure))


def test_other_figures_of_ours_cover_nothing_either():
    nine = ("fifo", "hpf", "sjf", "luf", "muf", "up", "up_consolidation", "rtlm", "ssjf")
    assert covered(response_time.draw(make_table(policies=nine, traces=("dialogue", "recorded")))) == []
    found = gain_by_tau.points(predictors(half=(0.5, 0.4), flat=(0.1, float("nan")), long_name_of_one=(0.7, 0.2)))
    figure = gain_by_tau.draw(found, "a caption")
    assert covered(figure) == []
    assert "it says the same of all" in texts(figure)


def test_changes_are_drawn_around_zero_and_a_logarithmic_axis_of_them_is_refused():
    figure = draw(made(), {}, asked(x="rate", y="ttft_p99", reference="fifo"))
    assert "change of TTFT P99 (%)" in texts(figure)
    assert "paired" in texts(figure).replace("\n", " ")
    with pytest.raises(ValueError, match="no logarithmic axis: changes are below 0"):
        draw(made(), {}, asked(x="rate", y="ttft_p99", reference="fifo", scale="log"))


def test_words_on_an_axis_do_not_lie_on_one_another():
    names = tuple(f"a policy with a long name {number}" for number in range(9))
    figure = draw(made(names), {}, asked(x="policy", y="ttft_p99", hue="rate"))
    assert covered(figure) == []


def test_a_heat_map_says_each_mean_and_leaves_a_missing_cell_empty():
    table = made()
    table = table[(table["policy"] == "fifo") | (table["trace.rate"] == 2)].reset_index(drop=True)
    figure = draw(table, {}, asked(heat="ttft_p99", x="rate", y="policy"))
    cells = [text.get_text() for text in figure.axes[0].texts]
    assert [float(cell.split(" ±")[0].split("\n")[0]) for cell in cells] == [4, 2, 8]
    assert covered(figure) == []
    table = made().rename(columns={"ttft_p99": "normalized_latency_p99"})
    figure = draw(table, {}, asked(heat="normalized_latency_p99", x="rate", y="policy", reference="fifo"))
    assert covered(figure) == []
    assert [text.get_text() for text in figure.axes[0].texts] == ["-50", "-50"]


def test_a_distribution_is_the_share_of_requests_and_its_tail_the_rest():
    rng = np.random.default_rng(0)
    values = pd.DataFrame({"policy": "fifo", "seed": np.repeat([0, 1], 500), "ttft": rng.lognormal(size=1000)})
    figure = charts.distributions(values, Chosen(), "ttft", label_of("ttft"), "a caption")
    [line] = figure.axes[0].lines
    at, shares = line.get_data()
    assert figure.axes[0].get_xscale() == "log"
    assert shares[np.searchsorted(at, values["ttft"].median())] == pytest.approx(0.5, abs=0.01)
    assert (np.diff(shares) >= 0).all()
    tail = charts.distributions(values, Chosen(), "ttft", label_of("ttft"), "a caption", tail=True).axes[0]
    assert tail.get_yscale() == "log"
    above = values["ttft"].quantile(0.99)
    drawn = dict(zip(*tail.lines[0].get_data(), strict=True))
    nearest = min(drawn, key=lambda value: abs(value - above))
    assert drawn[nearest] == pytest.approx(0.01, abs=0.002)


def test_labels_have_words_and_units():
    assert label_of("ttft_p99") == "TTFT P99 (s)"
    assert label_of("response_time") == "response time (s)"
    assert label_of("preemptions") == "preemptions (count)"
    assert label_of("what nobody told") == "what nobody told"


def test_a_point_without_a_number_is_left_out_and_none_at_all_is_told():
    table = made()
    table.loc[table["policy"] == "sjf", "ttft_p99"] = np.nan
    assert set(points(table, ["policy", "trace.rate"], "ttft_p99")["policy"]) == {"fifo"}
    with pytest.raises(ValueError, match="ttft_p99 was measured in no run"):
        points(table.assign(ttft_p99=np.nan), ["policy", "trace.rate"], "ttft_p99")
