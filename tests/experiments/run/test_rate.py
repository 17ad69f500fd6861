"""The rate that is found gives the slowdown asked for; where none does, that is said, and nothing goes on for ever."""

import math
import sys

import pytest
from hydra import compose, initialize_config_dir

from experiments.run import rate as find_rate
from tests.conftest import ROOT
from tests.experiments.run.test_run import SMALL


def config(*overrides):
    with initialize_config_dir(str(ROOT / "experiments" / "conf"), version_base="1.3"):
        return compose("config", overrides=[*SMALL[:2], *overrides])


@pytest.fixture
def typed(monkeypatch, capsys):
    """Does what a command line does: its exit code, what it printed, and the line that it wrote as an error."""

    def find_here(*arguments):
        monkeypatch.setattr(sys, "argv", ["find_rate", *arguments])
        try:
            find_rate.main()
        except SystemExit as ended:
            return 1, capsys.readouterr().out, str(ended.code)
        return 0, capsys.readouterr().out, ""

    return find_here


def pretend(monkeypatch, mean, count=lambda rate: 100):
    """Let the mean response time be a function of the rate; the rates that were tried."""
    tried = []

    def answer(cfg, rate, seeds):
        tried.append(rate)
        return mean(rate), count(rate)

    monkeypatch.setattr(find_rate, "mean_response", answer)
    return tried


@pytest.mark.parametrize("slowdown", [1.02, 1.5, 3.0, 80.0])
@pytest.mark.parametrize("seconds", [1e-3, 0.2, 40.0])
def test_the_rate_is_that_of_the_slowdown(monkeypatch, slowdown, seconds):
    """A queue whose mean is seconds / (1 - rate * seconds), cut at a thousand times as long."""

    def mean(rate):
        return min(1000.0, 1 / (1 - rate * seconds) if rate * seconds < 1 else math.inf) * seconds

    tried = pretend(monkeypatch, mean)
    rate, found, unloaded = find_rate.find(config(), slowdown, 1)
    exact = (1 - 1 / (slowdown * mean(find_rate.UNLOADED_RATE) / seconds)) / seconds
    assert exact <= rate <= exact * 1.011
    assert found == mean(rate) >= slowdown * unloaded
    assert len(tried) < 30


def test_a_slowdown_that_needs_all_requests_at_once_is_found_in_so_many_tries(monkeypatch):
    tried = pretend(monkeypatch, lambda rate: 2.0 if rate > 5e8 else 1.0)
    assert find_rate.find(config(), 2.0, 1)[0] == pytest.approx(5e8, rel=0.011)
    assert len(tried) < 60


@pytest.mark.parametrize("mean", [lambda rate: 1.0, lambda rate: 1.0 + min(rate, 1.9), lambda rate: 1 / (1 + rate)])
def test_a_slowdown_that_no_rate_gives_is_refused_with_the_largest_there_is(monkeypatch, mean):
    pretend(monkeypatch, mean)
    largest = f"{mean(1e9) / mean(1e-4):.3g} times the unloaded"
    with pytest.raises(ValueError, match=f"slowdown=3 is not reached: with all .* {largest}"):
        find_rate.find(config(), 3.0, 1)


def test_a_trace_that_has_more_requests_at_a_higher_rate_is_refused(monkeypatch):
    tried = pretend(monkeypatch, lambda rate: 1.0, lambda rate: 2 + int(1000 * rate))
    with pytest.raises(ValueError, match=r"trace.rate decides how many .* \(2 at 0.0001/s, 502 at 0.5/s\)"):
        find_rate.find(config(), 3.0, 1)
    assert max(tried) < 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["+slowdown=1"], "slowdown must be a number above 1, got 1"),
        (["+slowdown=nan"], "slowdown must be a number above 1, got nan"),
        (["+slowdown=inf"], "slowdown must be a number above 1, got inf"),
        (["+slowdown=fast"], "slowdown must be a number above 1, got 'fast'"),
        (["+slowdown=true"], "slowdown must be a number above 1, got True"),
        (["+seeds=0"], "seeds must be a whole number of traces, at least 1, got 0"),
        (["+seeds=1.5"], "seeds must be a whole number of traces, at least 1, got 1.5"),
        (["+seeds=[1,2]"], "seeds must be a whole number of traces, at least 1, got [1, 2]"),
        (["seed=[1,2]"], "seed must be the first of the seeds, a whole number, got [1, 2]"),
        (["trace.rate=3"], "trace.rate=3 is what tokenyard rate looks for"),
        (["++trace.rate=3"], "trace.rate=3 is what tokenyard rate looks for"),
        (["+slowdwn=5"], "slowdwn=5 is read by nothing"),
        (["load=0.9"], "load must be null, got 0.9"),
        (["horizon=9"], "horizon must be null, got 9"),
        (["trace=closed_loop"], "this trace has none to set; it has lengths, clients, requests"),
        (["trace=mixed"], "this trace has none to set; it has sources, weights"),
        (["policy.batching.batch_size=0"], "policy.batching.batch_size=0 must be from 1"),
        (["cluster.devices.gpu.max_model_len=2"], "no request of the measured window is served at trace.rate=0.0001"),
    ],
)
def test_what_it_cannot_follow_is_refused_in_one_line(typed, arguments, said):
    kept = [setting for setting in SMALL if not (arguments[0].startswith("trace") and setting.startswith("trace."))]
    if arguments[0].startswith("trace="):
        kept.remove("trace=dialogue")
        kept.append("predictor=oracle")
    else:
        kept = [setting for setting in kept if not setting.startswith("trace.rate")]
    code, out, error = typed(*kept, *arguments)
    assert (code, out) == (1, "")
    assert said in error
    assert "\n" not in error


def test_a_real_search_finds_the_rate_or_says_what_is_the_largest(typed):
    kept = [setting for setting in SMALL if not setting.startswith("trace.rate")]
    code, out, error = typed(*kept, "+slowdown=1.5", "+seeds=2", "predictor=oracle")
    assert (code, error) == (0, "")
    assert "times as much" in out
    assert 1.5 <= float(out.split()[-4]) < 1.6
    code, out, error = typed(*kept, "+slowdown=1e6", "+seeds=1", "predictor=oracle")
    assert (code, out) == (1, "")
    assert "slowdown=1e+06 is not reached: with all requests at once" in error
