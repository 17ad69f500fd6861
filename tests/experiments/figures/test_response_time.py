"""The response time figure: valid files, one look per policy, a caption that tells all, errors that say what to do."""

import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from experiments.figures import response_time, style
from experiments.tables.stats import quantile
from tests.conftest import ROOT

POLICIES = ("fifo", "hpf", "rtlm")


def make_table(rates=(2, 4), seeds=3, traces=("dialogue",), policies=POLICIES, growth=1.0) -> pd.DataFrame:
    """A collected table whose numbers are made up; fifo and hpf are equal."""
    rng = np.random.default_rng(0)
    rows = []
    for policy, trace, seed, rate in itertools.product(policies, traces, range(seeds), rates):
        mean = (0.5 if policy == "rtlm" else 1.0) * rate**growth + 0.1 * rng.random()
        rows.append(
            {"policy": policy, "policy/order": "fifo", "predictor": "rules", "trace": trace, "seed": seed}
            | {"trace.rate": rate, "run": f"{len(rows):016x}", "censored": 0, "rejected": 0}
            | {"response_time_mean": mean, "throughput_requests": 0.9 * rate}
            | {"provenance.gpu": "gpt2/l40s (imported)", "provenance.trace": f"synthetic: {trace}, made up"}
        )
    return pd.DataFrame(rows)


def texts(figure) -> str:
    """All text on the figure, panel by panel; a caption's lines are joined."""
    found = [text.get_text().replace("\n", " ") for text in figure.texts]
    for axes in figure.axes:
        found += [axes.get_xlabel(), axes.get_ylabel(), *(text.get_text() for text in axes.texts)]
        found += [label.get_text() for label in axes.get_yticklabels()]
        found += [text.get_text() for text in axes.get_legend().get_texts()] if axes.get_legend() else []
    return "\n".join(found)


def test_the_script_writes_png_and_pdf_and_prints_where(tmp_path: Path):
    make_table().to_parquet(tmp_path / "table.parquet")
    line = [sys.executable, "-m", "experiments.cli", "figures", "response_time", str(tmp_path)]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    png, pdf = (tmp_path / "figures" / f"response_time.{kind}" for kind in ("png", "pdf"))
    assert done.stdout.split() == [str(png), str(pdf)]
    with Image.open(png) as image:
        assert image.format == "PNG"
        assert image.info["dpi"] == pytest.approx((150, 150), abs=0.1)
    assert pdf.read_bytes().startswith(b"%PDF-")
    assert pdf.read_bytes().rstrip().endswith(b"%%EOF")
    assert sorted(path.name for path in png.parent.iterdir()) == ["response_time.pdf", "response_time.png"]


def test_equal_tables_give_equal_files(tmp_path: Path):
    one, other = (style.save(response_time.draw(make_table()), tmp_path / name) for name in ("one", "other"))
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in other]


def test_lines_are_means_with_their_bands():
    table = make_table()
    figure = response_time.draw(table)
    place = figure.axes[0]
    lines = {line.get_color(): line for line in place.get_lines()}
    expected = table[table["policy"] == "rtlm"].groupby("trace.rate")["response_time_mean"]
    assert lines[style.look("rtlm").color].get_ydata() == pytest.approx(expected.mean().to_numpy())
    assert len(place.collections) == len(POLICIES)
    half = quantile(3) * expected.std() / np.sqrt(3)
    band = place.collections[-1].get_paths()[0].vertices[:, 1]
    assert band.max() == pytest.approx((expected.mean() + half).max(), rel=1e-6)


def test_equal_policies_lie_beside_one_another():
    fifo, hpf, _ = response_time.draw(make_table()).axes[0].get_lines()
    assert (fifo.get_xdata() < hpf.get_xdata()).all()
    assert fifo.get_marker() != hpf.get_marker()


def test_the_caption_tells_provenance_seeds_and_what_the_interval_is():
    told = texts(response_time.draw(make_table()))
    for part in ("dialogue (synthetic)", "gpu gpt2/l40s (imported)", "Mean over 3 seeds", "Bands: 95 % interval"):
        assert part in told
    assert "One seed: no interval" in texts(response_time.draw(make_table(seeds=1)))
    assert "(s)" in told
    assert "(requests/s)" in told


def test_the_caption_counts_requests_that_did_not_finish():
    table = make_table()
    table.loc[0, "censored"] = 7
    assert "Not in the response times: 7 censored requests" in texts(response_time.draw(table))


def test_a_setting_that_varies_gets_a_row_of_panels():
    figure = response_time.draw(make_table(traces=("dialogue", "recorded")))
    assert len(figure.axes) == 4
    assert "trace=dialogue" in texts(figure)
    assert "trace=recorded" in texts(figure)


def test_one_rate_gives_a_point_per_policy():
    told = texts(figure := response_time.draw(make_table(rates=(4,))))
    assert "Arrival rate 4 requests/s" in told
    assert set(POLICIES) <= set(told.splitlines())
    assert [len(line.get_xdata()) for line in figure.axes[0].get_lines()] == [1] * len(POLICIES)


@pytest.mark.parametrize(("growth", "scale"), [(1, "linear"), (6, "log")])
def test_response_time_is_logarithmic_beyond_a_decade(growth, scale):
    assert response_time.draw(make_table(growth=growth)).axes[0].get_yscale() == scale


def test_many_policies_get_bars_and_a_legend_entry_each():
    figure = response_time.draw(make_table(policies=(*style.LOOKS, "mine")))
    told = texts(figure)
    assert "Bars: 95 % interval" in told
    assert {*style.LOOKS, "mine"} <= set(told.splitlines())


def test_a_policy_looks_the_same_in_every_figure():
    def colors(figure, policies):
        drawn = [line.get_color() for line in figure.axes[0].get_lines()]
        return dict(zip(style.ordered(policies), drawn, strict=True))

    both, alone = ("rtlm", "mine", "fifo"), ("mine", "rtlm")
    together = colors(response_time.draw(make_table(policies=both)), both)
    apart = colors(response_time.draw(make_table(policies=alone, rates=(4,))), alone)
    assert together == {policy: style.look(policy).color for policy in both}
    assert apart == {policy: together[policy] for policy in alone}


def test_shipped_policies_differ_in_colour_and_marker():
    """A variant, as `ltr_fcfs` of `ltr`, has no look of its own."""
    policies = {path.stem for path in (ROOT / "experiments" / "conf" / "policy").glob("*.yaml")}
    assert [name for name in policies if not any(f"{name}_".startswith(f"{one}_") for one in style.LOOKS)] == []
    for one, other in itertools.combinations(style.LOOKS.values(), 2):
        assert np.linalg.norm(np.subtract(to_rgb(one.color), to_rgb(other.color))) > 0.15
        assert (one.marker, one.dashes) != (other.marker, other.dashes)


def test_no_table_and_no_run_is_an_error(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["response_time", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        response_time.main()
    assert ended.value.code == f"tokenyard figures response_time: no complete run below {tmp_path} (0 runs in all)"
    assert not (tmp_path / "figures").exists()
    with pytest.raises(FileNotFoundError, match="absent is no folder"):
        response_time.read(tmp_path / "absent")


def test_no_rate_is_an_error():
    with pytest.raises(ValueError, match=r"trace\.rate: set it in the sweep"):
        response_time.draw(make_table().drop(columns="trace.rate"))
    with pytest.raises(ValueError, match="no run"):
        response_time.draw(make_table().head(0))


def test_a_seed_that_stands_twice_is_an_error():
    table = make_table()
    with pytest.raises(ValueError, match=r"fifo at trace\.rate=2 has seed 0 twice"):
        response_time.draw(pd.concat([table, table]))


def test_help_teaches(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["response_time", "--help"])
    with pytest.raises(SystemExit, match=r"^0$"):
        response_time.main()
    told = capsys.readouterr().out
    assert "results/demo" in told
    assert "tokenyard -m" in told
