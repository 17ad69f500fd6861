"""What vLLM's scheduler costs its host: the fit finds what the points were made of, and each scheduler is asked."""

import builtins

import pytest

from experiments.engine import host_time
from experiments.engine.host_time import Point, costs, fit

TRUE = (12e-6, 3e-6, 40e-6)  # s: a step, a running request, an admission


def points(step, request, admission, admitted=(0, 1)):
    return [Point(n, k, step + request * n + admission * k) for n in (1, 16, 256) for k in admitted]


def test_the_fit_finds_what_the_points_were_made_of():
    assert fit(points(*TRUE)) == pytest.approx(TRUE)
    assert fit(points(*TRUE, admitted=(0,))) == pytest.approx(TRUE[:2])


def test_small_and_large_batches_weigh_alike():
    (first, *rest) = points(*TRUE, admitted=(0,))
    step, request = fit([first._replace(seconds=2 * first.seconds), *rest])
    assert step > 1.2 * TRUE[0]
    other, same = fit([*points(*TRUE, admitted=(0,))[:-1], rest[-1]._replace(seconds=2 * rest[-1].seconds)])
    assert same > 1.2 * request
    assert other < step


def test_repeats_give_an_interval_and_the_worst_point_is_named():
    told = costs([points(step, *TRUE[1:]) for step in (10e-6, 12e-6, 14e-6)])
    assert [told.columns[name].mean for name in host_time.COLUMNS] == pytest.approx(TRUE)
    assert told.columns["step"].half_width > 1e-6
    assert told.worst == pytest.approx(0, abs=1e-9)
    bent = [one._replace(seconds=one.seconds * (1.5 if one.running == 16 else 1)) for one in points(*TRUE)]
    assert costs([bent, bent]).worst > 0.1


def test_without_vllm_it_says_how_to_get_it(monkeypatch, capsys):
    real = builtins.__import__

    def refuse(name, *more, **named):
        if name.split(".")[0] == "vllm":
            raise ModuleNotFoundError("No module named 'vllm'")
        return real(name, *more, **named)

    for name in host_time.vllm_engine.environment(1, 1):
        monkeypatch.setenv(name, "")  # so that what the command sets is taken back
    monkeypatch.setattr(builtins, "__import__", refuse)
    assert host_time.main(["--repeats", "2"]) == 2
    assert "make vllm" in capsys.readouterr().err


def test_both_of_vllms_schedulers_are_timed(monkeypatch, capsys):
    pytest.importorskip("vllm")
    for name in host_time.vllm_engine.environment(1, 1):
        monkeypatch.setenv(name, "")
    assert host_time.main(["--repeats", "2", "--most", "4"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "1 to 4 requests running" in lines[1]
    assert [line.split()[0] for line in lines[-2:]] == ["Scheduler", "AsyncScheduler"]
