"""What the columns of results mean: python -m experiments.tables.schema writes docs/results.md

A row of a table here: column -> unit, definition, and the metric of vLLM's benchmark (`vllm bench serve`) that it
equals, where one does. A test holds the tables that a run leaves against it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from experiments.tables.columns import SPANS, STATES, Column
from sim.record import Span, Use

DOCUMENT = Path(__file__).parents[2] / "docs" / "results.md"


REQUESTS = {
    "id": Column("-", "number of the request, in the order of arrival from 0"),
    "arrival": Column("s", "when it came, from the start of the trace"),
    "prompt_tokens": Column("tokens", "length of its prompt", "input_lens (a list)"),
    "output_tokens": Column("tokens", "length of its answer, as that model gives it", "output_lens (a list)"),
    "status": Column(
        "-", "`finished`; `rejected`: can never fit, or routed nowhere; `censored`: unfinished at the `horizon`"
    ),
    "replica": Column("-", "the device of its last leg; empty if it had none"),
    "replica_kind": Column("-", "that device's `kind`"),
    "model": Column("-", "the model on it, as its profile names it"),
    "predicted_tokens": Column("tokens", "the predictor's expected length of the answer, at arrival"),
    "uncertainty": Column("tokens", "the uncertainty score, by RT-LM's definition a predicted length"),
    "predictor_seconds": Column("s", "what the prediction itself took; its wait for the one predictor is not in it"),
    "overhead_seconds": Column("s", "scheduling time charged to the clock of its replicas while it was there"),
    "queued": Column("s", "when it came to its first replica: arrival, prediction, routing, and their queues"),
    "first_scheduled": Column("s", "start of the first step in which it was given tokens"),
    "first_token": Column("s", "end of the step that gave its first token; missing in static batches, which show none"),
    "finished": Column("s", "end of the step that gave its last token; in a static batch, of the whole batch"),
    "preemptions": Column("count", "how often it was stopped, for want of memory or for a better one"),
    "longest_stop": Column(
        "s", "the longest time from when it was stopped amid its answer to its next token; 0 if it never was"
    ),
    "calls": Column("count", "calls amid its answer that have begun; 0 if it calls nothing"),
    "call_seconds": Column("s", "what its calls took that are over: neither waiting nor service"),
    "renewed_seconds": Column("s", "what predictions took that were made anew as calls returned: no queue before them"),
    "routing_seconds": Column(
        "s", "its wait for the one router and what that took (`policy.overhead.route_seconds`), once it is over"
    ),
    "passes": Column("count", "decoding passes that it took part in, where one may emit several tokens; 0 elsewhere"),
    "proposed_tokens": Column("tokens", "proposed to it in those beyond the tokens that it owed, taken or not"),
    "moved_tokens": Column(
        "tokens", "whose KV was copied between device and host, each way its own; 0 where nothing is swapped"
    ),
    "dropped_tokens": Column("tokens", "computed, whose KV was dropped as it stopped or waited: to be computed anew"),
}
OPTIONAL_REQUESTS = {
    "client": Column("-", "of the trace, where it has clients"),
    "task": Column("-", "of the trace, where it has tasks"),
    "reward": Column("-", "what its answer is worth, where a `reward` is set; 0: rejected, unfinished or too late"),
    "measured_first_scheduled": Column("s", "`first_scheduled` of the real run that the trace was recorded from"),
    "measured_first_token": Column("s", "`first_token` of that run"),
    "measured_finished": Column("s", "`finished` of that run"),
    "fitted": Column("yes/no", "among the first requests of that run, to which a constant may have been fitted"),
}
STEPS = {
    "replica": Column("-", "the device that made the step"),
    "end": Column("s", "when it ended"),
    "seconds": Column("s", "how long it took, the scheduler's part included"),
    "overhead_seconds": Column("s", "the scheduler's part"),
    "prefill_tokens": Column("tokens", "computed of prompts (or anew, after a preemption), chunks of more than one"),
    "decode_jobs": Column("count", "jobs that computed one token"),
    "decode_context": Column("tokens", "sum of these jobs' contexts, to which the step attends"),
    "moved_tokens": Column("tokens", "whose KV was copied between device and host while the step waited"),
    "running": Column("count", "jobs that ran, those without a token in this step included"),
    "waiting": Column("count", "jobs that waited when it began"),
    "blocks_used": Column("count", "KV blocks that somebody held when it ended, before jobs left"),
    "preempted": Column("count", "jobs stopped, for want of memory or for better ones"),
}
AUDIT = {
    "replica": Column("-", "whose KV cache"),
    "use": Column("-", "what its token slots were used for, in the table below"),
    "token_seconds": Column("tokens x s", "slots in this use, times how long; of all uses `kv_tokens * seconds`"),
    "share": Column("share", "of `kv_tokens * seconds`"),
    "held_up": Column(
        "tokens x s",
        "those of `token_seconds` that passed while a step took longer for what it computed anew, or for copies that "
        "it waited for",
    ),
    "kv_tokens": Column("tokens", "slots that the cache has, in whole blocks"),
    "seconds": Column("s", "from 0 to the `horizon`, or else to the end of the last step of any replica"),
}
USES = {
    "decode": "KV of jobs that have emitted a token and compute one a step; in a static batch, of complete rows too",
    "prefill": "of jobs whose prompt is under way: computed, found in the prefix cache, or computed in this step",
    "recompute": "of jobs that compute anew, before they come to what is new, what they had when they were dropped",
    "transfer": "of jobs whose KV is being sent or comes, to another replica or beside the steps to the host; a copy "
    "that a step waits for is part of the step",
    "waiting": "of jobs that wait with their KV kept on the device",
    "paused": "of jobs that call out with their KV kept on the device",
    "fragmentation": "in blocks that jobs hold, without a token of theirs: the rest of the last block, what "
    "`reserve_output` sets aside, the padding of a static batch and what its complete rows go on to compute, and the "
    "blocks of tokens that a job was to compute when it was stopped",
    "free": "in blocks that nobody holds; what a prefix cache still knows is among them",
}


def _distribution(name: str, what: str, vllm: str, unit: str = "s") -> dict[str, Column]:
    parts = {"mean": ("mean", "mean"), "p50": ("median", "median"), "p90": ("90th percentile", "p90"),
             "p95": ("95th percentile", "p95"), "p99": ("99th percentile", "p99"), "max": ("maximum", "")}  # fmt: skip
    return {
        f"{name}_{part}": Column(unit, f"{word} of {what}", f"{theirs}_{vllm}_ms / 1000" if theirs and vllm else "")
        for part, (word, theirs) in parts.items()
    }


SUMMARY = {
    "requests": Column("count", "that arrived in the measured window: from `warmup` of the arrivals' span to the last"),
    "finished": Column("count", "of these, that finished", "completed, where nothing is cut as warm-up"),
    "rejected": Column("count", "of these, that could never be served"),
    "censored": Column("count", "of these, that were unfinished at the `horizon`"),
    "warmup_requests": Column("count", "that arrived before the window; they are served, and not measured"),
    **_distribution("response_time", "finished - arrival (E2E, RT-LM's response time)", "e2el"),
    **_distribution("ttft", "first_token - arrival; missing where no first token is seen", "ttft"),
    **_distribution("tpot", "(finished - first_token) / (output_tokens - 1), of answers of two tokens or more", "tpot"),
    "ttft_requests": Column("count", "of which a first token was seen"),
    "tpot_requests": Column("count", "of which a first token and another were seen"),
    **_distribution("normalized_latency", "E2E / output_tokens", "", "s/token"),
    "longest_wait": Column(
        "s", "the longest of `first_scheduled - queued` and `longest_stop`: that one was there without a token"
    ),
    "throughput_requests": Column("requests/s", "that finished in the window, per second of it; missing if none could"),
    "throughput_tokens": Column("tokens/s", "output tokens of these, per second of the window"),
    "throughput_requests_overall": Column(
        "requests/s", "all that finished / from the first arrival to the last end", "request_throughput"
    ),
    "throughput_tokens_overall": Column("tokens/s", "their output tokens, per second of the same", "output_throughput"),
    "window_seconds": Column("s", "length of the measured window"),
    "preemptions": Column("count", "of the requests of the window"),
    "moved_tokens": Column("tokens", "of the same: the sum"),
    "dropped_tokens": Column("tokens", "of the same: the sum"),
    "routing_share": Column("share", "of the summed response times: the router, and the queue before it"),
    "predicting_share": Column("share", "of the summed response times: predictions, and the queue before the first"),
    "scheduling_share": Column("share", "of the summed response times: `overhead_seconds`"),
    "offloaded_share": Column("share", "of the finished requests: served by a device of the kind `cpu`"),
}
SUMMARY_OF_CALLS = {
    **_distribution("serving_time", "finished - arrival - call_seconds (E2E without the time of calls)", ""),
    "normalized_serving_time_mean": Column(
        "s/token", "mean of (E2E - call_seconds) / output_tokens, INFERCEPT's normalized latency"
    ),
    "calls_mean": Column("count", "mean of `calls`: of a finished request"),
    "call_seconds_mean": Column("s", "mean of `call_seconds`"),
}
SUMMARY_OF_PASSES = {
    "tokens_per_pass_mean": Column("tokens", "output tokens but the first of each answer, by `passes`"),
    "proposed_per_pass_mean": Column("tokens", "`proposed_tokens` by `passes`"),
}
SUMMARY_OF_REWARDS = {
    "availability": Column("share", "of the requests: with an answer within `reward.hard`"),
    "reward_mean": Column("-", "mean reward of a request"),
    "performance": Column("share", "sum of rewards / sum of what the best model's answers in time would have given"),
    "time_above_96": Column(
        "share", "of the parts of `reward.window` s, by arrival: `performance` in it at least 0.96"
    ),
    "time_above_98": Column("share", "the same for 0.98; parts in which nobody arrived are left out"),
}
SUMMARY_OF_GAPS = {
    **_distribution("itl", "the gaps between a request's consecutive tokens, of all requests together", "itl"),
    "itl_requests": Column("count", "of which they are seen: all that got a token in each step in which they could"),
}
SUMMARY_OF_SLO = {
    "slo_attainment": Column("share", "of the requests: within all bounds (rejected or unfinished: not)"),
    "slo_goodput": Column("requests/s", "within all bounds that finished in the window, per second of it"),
    "slo_goodput_overall": Column(
        "requests/s", "all of them / from the first arrival to the last end", "request_goodput"
    ),
    "slo_holds": Column("0 or 1", "whether all percentiles, and `slo.attainment`, hold; missing if none is bounded"),
}
SAID = {
    "fitted": Column("-", "what of the run was fitted to training rows: its predictor, constants of its policy"),
    "rejection": Column("-", "why the first request that was rejected can never be served"),
}
NESTED = {
    "counts.read": Column("count", "rows of the file or recording, or requests that a generator drew"),
    "counts.training": Column("count", "rows kept for training, or drawn apart for it (`fitted` says what for)"),
    "counts.replayed": Column("count", "requests of this run: the sum of the five that follow"),
    "counts.warmup": Column("count", "that arrived before the measured window, and finished"),
    "counts.measured": Column("count", "that arrived in it and finished: every time above is of these"),
    "counts.rejected": Column("count", "that could never be served (`rejection` says why, of the first)"),
    "counts.censored": Column("count", "that were unfinished at the `horizon`"),
    "counts.never_came": Column("count", "that would have arrived after the `horizon`"),
    "counts.first": Column("-", "where the window of a stored trace begins, among the rows that may be replayed"),
    "load.rate": Column("requests/s", "the mean rate of the arrivals, where `load` was given"),
    "load.capacity": Column("requests/s", "that the system `load_of` serves of this trace when it never waits for one"),
    "load.of": Column("-", "whose capacity: `load_of`"),
    "calibration.*": Column("various", "what the policy names, found or fixed: phi, eta, tau (and kappa), batch_size"),
    "provenance.*": Column(
        "-",
        "where the trace and each device's times come from; `build`: whether the engine was pure Python or compiled",
    ),
    "kv.*": Column("-", "the KV that each device holds, and what was not taken off it"),
    "costs.*": Column(
        "various",
        "what the finished requests take, each alone, where a device's profile says so (`profiles.composed`, "
        "`profiles.windowed`): their sum; of what is held (`*_bytes` but `moved_bytes`) the largest",
    ),
    "errors.*": Column("share", "of a measured trace: simulated / measured - 1"),
    "attainment.*": Column("share", "`slo_attainment` of each class, with `slo.by`"),
    "goodput.*": Column("requests/s", "`slo_goodput` of each class"),
}
COLLECTED = {
    "policy, predictor, trace, cluster, system, policy/order ...": Column("-", "the choice made in each group"),
    "a setting's dotted name": Column("its own", "every setting that some run was given"),
    "seed": Column("-", "draws arrivals, lengths and policy; runs of one seed replay the same requests"),
    "run": Column("-", "the folder's name, a digest of all that made the run; metrics stand behind it"),
}


def unit_of(name: str) -> str:
    """The unit of a metric, or of a number of a request; empty where it is not told."""
    of_requests = {**REQUESTS, **OPTIONAL_REQUESTS}
    groups = (SUMMARY, SUMMARY_OF_CALLS, SUMMARY_OF_PASSES, SUMMARY_OF_REWARDS, NESTED, of_requests)
    for known in (name, f"{name}_mean"):  # response_time of a request: as of their mean
        for columns in groups:
            if known in columns:
                return columns[known].unit
    return ""


def document() -> str:
    """The text of docs/results.md."""
    parts = [
        "# What the columns mean",
        "",
        "Written by `python -m experiments.tables.schema`; a test holds it against what runs leave. Plain SI: seconds,",
        "tokens. What was not measured is missing (null in json, NaN in parquet), never 0. The last column names the",
        "metric of vLLM's benchmark (`vllm bench serve --save-result`) that is the same; that one measures at the",
        "client, in ms.",
        *_section("requests.parquet", "A row for each request.", REQUESTS),
        *_section("", "Where the trace has them:", OPTIONAL_REQUESTS),
        *_section("steps.parquet", "A row for each forward pass of each replica, with `record=steps`.", STEPS),
        *_section("spans.parquet", "A row for each state that a request goes through, by request and start, with "
                  "`record=jobs`, which keeps steps.parquet too. What a plan changes counts from when its step starts. "
                  "A request that was rejected has none.", SPANS),
        *_states(),
        *_section("audit.parquet", "A row for each use of the KV cache of each replica, with `audit=true`; a token's "
                  "slot counts from the step that computes it.", AUDIT),
        *_uses(),
        *_section("summary.json", "One object a run. Times are of the requests that arrived in the measured window and "
                  "finished.", SUMMARY),
        *_section("", "Where requests call out; elsewhere these are missing, as they would repeat E2E's. All times "
                  "above have calls in them, TPOT too.", SUMMARY_OF_CALLS),
        *_section("", "Where a pass may emit several tokens (`decoding`):", SUMMARY_OF_PASSES),
        *_section("", "Where a `reward` is set; requests that were rejected or unfinished count, as worth nothing:",
                  SUMMARY_OF_REWARDS),
        *_section("", "With `record=steps`, from which they are told; as vLLM's benchmark counts them "
                  "([capacity.md](capacity.md#inter-token-latency)):", SUMMARY_OF_GAPS),
        *_section("", "Where bounds are set (`slo.*`):", SUMMARY_OF_SLO),
        *_section("", "In words:", SAID),
        *_section("", "Groups within it (`counts.read` is `counts` -> `read`, and so the collected column is called):",
                  NESTED),
        *_section("table.parquet, table.csv", "A row for each run, by `tokenyard collect`: settings, then "
                  "`run`, then all of summary.json.", COLLECTED),
    ]  # fmt: skip
    return "\n".join(parts) + "\n"


def _section(title: str, words: str, columns: Mapping[str, Column]) -> list[str]:
    rows = [f"| `{name}` | {one.unit} | {one.definition} | {one.equals} |" for name, one in columns.items()]
    heading = ["", f"## {title}"] if title else []
    return [*heading, "", words, "", "| column | unit | definition | in vLLM's benchmark |", "|---|---|---|---|", *rows]


def _uses() -> list[str]:
    """What each use of memory is, in the order in which they claim a block that several jobs share."""
    rows = [f"| `{use.name.lower()}` | {USES[use.name.lower()]} |" for use in Use]
    words = "Each slot is in one use at a time. A block that jobs share is in the first of theirs in this order:"
    return ["", words, "", "| use | the slots |", "|---|---|", *rows]


def _states() -> list[str]:
    rows = [f"| `{span.name.lower()}` | {STATES[span.name.lower()]} |" for span in Span]
    return ["", "A request that runs keeps its seat in steps that give it nothing:", "", "| span | the request |",
            "|---|---|", *rows]  # fmt: skip


def main() -> None:
    """Write the document."""
    if sys.argv[1:]:
        sys.exit(__doc__)
    DOCUMENT.write_text(document(), encoding="utf-8")
    print(DOCUMENT)


if __name__ == "__main__":
    main()
