"""The engine takes the decisions that vLLM 0.32.0's own scheduler took (prefix caching is not modelled yet)."""

import gzip
import json
from pathlib import Path

import pytest
from conftest import ROOT, LinearProfile, make_device, make_policy

from policies.batching import Continuous
from policies.fifo import FIFO
from policies.predictors.oracle import OraclePredictor
from sim import Cluster, Record, Request, Truth, simulate

GOLDEN = ROOT.parent / "shared" / "golden"
WORKLOADS = sorted(path for path in GOLDEN.glob("*.json.gz") if not path.name.startswith("prefix"))


class Priority:
    """vLLM's priority policy: the lower number first."""

    def rank(self, job, now):
        return job.request.priority


@pytest.mark.parametrize("path", WORKLOADS or [None], ids=lambda path: path.name if path else "absent")
def test_every_decision_is_vllms(path: Path | None):
    if path is None:
        pytest.skip("no golden workloads: there is no ../shared/golden")
    golden = json.loads(gzip.decompress(path.read_bytes()))
    config, seconds = golden["config"], golden["iteration_seconds"]
    device = make_device(
        profile=LinearProfile(fixed=seconds["fixed"], per_token=seconds["per_scheduled_token"]),
        kv_tokens=(config["num_blocks"] - 1) * config["block_size"],
        max_model_len=config["max_model_len"],
        block_size=config["block_size"],
    )
    policy = make_policy(
        order=FIFO() if config["policy"] == "fcfs" else Priority(),
        batching=Continuous(
            max_num_seqs=config["max_num_seqs"],
            max_num_batched_tokens=config["max_num_batched_tokens"],
            chunked_prefill=config["enable_chunked_prefill"],
            long_prefill_token_threshold=config["long_prefill_token_threshold"],
        ),
    )
    requests = [
        Request(r["id"], r["arrival"], r["prompt_tokens"], Truth(r["output_tokens"]), priority=r["priority"])
        for r in sorted(golden["requests"], key=lambda r: r["arrival"])
    ]
    tables = simulate(requests, policy, Cluster((device,)), OraclePredictor(), record=Record.DECISIONS)
    ours = [({str(job): new for job, new in granted}, sorted(map(str, out))) for _, _, granted, out in tables.decisions]
    theirs = [(granted, sorted(preempted)) for _, granted, preempted in golden["iterations"]]
    assert ours == theirs
    starts = [start for _, start, _, _ in tables.decisions]
    assert starts == pytest.approx([start for start, _, _ in golden["iterations"]], abs=1e-6)
