"""What a run does not need is not loaded for it: each takes a good part of the second until its first event."""

import subprocess
import sys

from tests.conftest import ROOT

HEAVY = ("matplotlib", "scipy", "torch", "joblib", "ray", "submitit")
RUN = f"""
import sys
sys.argv[:] = ["tokenyard", "policy=fifo", "trace=recorded", "results=" + sys.argv[1]]
from experiments.run import run
run.main()
print("loaded:", *(name for name in {HEAVY} if name in sys.modules))
"""


def test_a_run_loads_neither_what_draws_nor_what_tests_statistics(tmp_path):
    done = subprocess.run([sys.executable, "-c", RUN, tmp_path], cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert "1 runs: 1 made now" in done.stderr
    assert done.stdout.splitlines()[-1].split() == ["loaded:"]
