"""The fit: a known curve comes back, and left-out points are really left out."""

import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from profiles.fit import choose_knots, fit, fit_curve, interior, leave_out, summarize
from profiles.plot import plot
from profiles.point import Point, decode_point, grid_points, prefill_point
from profiles.profile import load, load_path
from profiles.release import describe, release


def truth(point):
    """A device whose fixed cost is 10 ms, and whose price grows with tokens and with what they attend to."""
    return 0.010 + 2e-4 * point.tokens + 1e-6 * point.attended


def points():
    lengths, batches = (16, 32, 64, 128, 256), (1, 2, 4, 8)
    prefill = [prefill_point(*pair) for pair in itertools.product(batches, lengths)]
    chunks = [prefill_point(1, new, computed) for new in (16, 64, 256) for computed in (128, 256, 768)]
    return prefill + chunks + [decode_point(*pair) for pair in itertools.product(batches, (16, 64, 128, 256, 512))]


def samples(seconds, passes=3):
    rows = [(p.phase, p.batch, p.new, p.computed, n, seconds(p)) for n in range(passes) for p in points()]
    return pd.DataFrame(rows, columns=["phase", "batch", "new", "computed", "pass", "seconds"])


def test_a_known_curve_comes_back():
    fitted = fit("known", samples(truth), seed=0)
    for point in (prefill_point(3, 100), prefill_point(1, 50, 500), decode_point(5, 300), decode_point(8, 16)):
        curve = fitted.prefill if point.phase == "prefill" else fitted.decode
        assert curve.time(point.tokens, point.attended) == pytest.approx(truth(point), rel=1e-4)
    assert fitted.fixed_seconds == pytest.approx(0.010, rel=1e-3)
    for phase in ("prefill", "decode"):
        assert fitted.residuals[phase]["left_out"]["points"] > 0
        assert fitted.residuals[phase]["left_out"]["max"] < 1e-4


def test_left_out_points_do_not_reach_the_fit():
    plain = fit("known", samples(truth), seed=1)
    chosen = plain.table[plain.table["left_out"]]
    left_out = {Point(*row) for row in chosen[["phase", "batch", "new", "computed"]].to_numpy().tolist()}
    spoiled = fit("known", samples(lambda p: truth(p) * (3.0 if p in left_out else 1.0)), seed=1)
    assert (spoiled.prefill, spoiled.decode) == (plain.prefill, plain.decode)
    for phase in ("prefill", "decode"):
        assert spoiled.residuals[phase]["left_out"]["p50"] == pytest.approx(2 / 3, rel=1e-3)
        assert spoiled.residuals[phase]["training"]["max"] < 1e-4


def test_the_edges_are_always_fitted_to_and_the_choice_is_seeded():
    table = summarize(samples(truth))
    table = table[table["phase"] == "decode"].reset_index(drop=True)
    edge = table["batch"].isin([1, 8]) | table["computed"].isin([15, 511])
    assert (interior(table) == ~edge).all()
    chosen = leave_out(table, seed=3, share=0.5)
    assert chosen.sum() == round(0.5 * (~edge).sum())
    assert not (chosen & edge).any()
    assert (chosen == leave_out(table, seed=3, share=0.5)).all()


def test_noise_is_met_with_the_median_and_never_bends_the_curve_down():
    random = np.random.default_rng(0)
    fitted = fit("noisy", samples(lambda p: truth(p) * random.lognormal(0, 0.05), passes=5), seed=0)
    assert fitted.residuals["decode"]["left_out"]["p50"] < 0.05
    assert fitted.table["minimum"].le(fitted.table["median"]).all()
    assert set(fitted.table["passes"]) == {5}


def test_knots_are_thinned_but_keep_their_ends():
    assert choose_knots([1, 2, 3, 100, 101, 110, 119, 120]) == (1, 2, 3, 100, 120)
    with pytest.raises(ValueError, match=r"two token counts at least, got \(4,\)"):
        fit_curve("one", np.array([4.0, 4.0]), np.array([4.0, 8.0]), np.array([1.0, 2.0]))


def test_released_files_agree_with_one_another(tmp_path):
    base = load("gpt2", "l40s")
    facts = {
        name: getattr(base, name)
        for name in ("kind", "kv_bytes_per_token", "move_bytes_per_second", "kv_capacity_tokens", "max_model_len")
    }
    path = tmp_path / "known" / "nothing.json"
    profile, fitted = release(
        path, samples(truth), 0, model="known", device="nothing", facts=facts, provenance=base.provenance
    )
    assert load_path(path) == profile
    assert sorted(p.name for p in path.parent.iterdir()) == ["nothing.json", "nothing.png", "nothing.samples.parquet"]
    assert profile.provenance["samples"] == len(samples(truth))
    assert describe(fitted.residuals).startswith("prefill: relative error on ")


def test_the_plot_is_a_picture(tmp_path):
    fitted = fit("known", samples(truth), seed=0)
    base = load("gpt2", "l40s")
    provenance = {**base.provenance, "residuals": fitted.residuals}
    profile = replace(base, prefill=fitted.prefill, decode=fitted.decode, provenance=provenance)
    plot(profile, fitted.table, tmp_path / "known.png")
    assert (tmp_path / "known.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir()] == ["known.png"]


def test_a_grid_keeps_within_the_model_and_its_own_limits():
    from omegaconf import OmegaConf

    grid = OmegaConf.create(
        {
            "max_context": 2048,
            "max_prefill_tokens": 128,
            "max_decode_context": 256,
            "prefill": {"batch": [1, 2], "new": [64, 512], "chunk": [16], "computed": [32, 4096]},
            "decode": {"batch": [1, 4], "context": [64, 128]},
        }
    )
    expected = {prefill_point(1, 64), prefill_point(2, 64), prefill_point(1, 100)}
    expected |= {prefill_point(1, 16, 32), prefill_point(1, 16, 84)}
    expected |= {decode_point(1, 64), decode_point(1, 100), decode_point(4, 64)}
    assert set(grid_points(grid, 100)) == expected


def test_a_point_attends_to_what_was_computed_and_to_itself():
    assert prefill_point(2, 3, 10).attended == 2 * (11 + 12 + 13)
    assert decode_point(4, 64).attended == 4 * 64
    with pytest.raises(ValueError, match="phase must be one of"):
        Point("training", 1, 1, 0)


def test_a_number_of_jobs_may_take_longer_than_the_next():
    def uneven(point):
        return truth(point) * (1.3 if point.phase == "decode" and point.batch == 2 else 1.0)

    fitted = fit("uneven", samples(uneven), seed=0)
    decode = fitted.table[fitted.table["phase"] == "decode"]
    assert {2} < set(decode["batch"])
    assert fitted.residuals["decode"]["left_out"]["max"] < 0.02
    smooth = fit("known", samples(truth), seed=0)
    assert fitted.fixed_seconds == pytest.approx(smooth.fixed_seconds, rel=0.2)  # one number says nothing of none
