"""Our values for SplitLLM's claims, from stored results: what claims.yaml names.

What is saved is of the server's work with all layers at it; a gain over a greedy rule is of the server's work under
that [A: how the paper counts it is not known]. Both are means over kinds of requests, each counted alike.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from experiments.claims import Found
from experiments.figures.stored import Stored, of
from experiments.papers.size_based.times import percent, times
from experiments.papers.splitllm.population import told
from experiments.tables.stats import Interval, interval
from sim.metrics import inside, measured_window

SETTINGS = ("trace.load", "trace.servers")
PLACEMENTS, UNITS, WAITS = "split/placements", "split/units", "split/waits"
PLACE, AT_SERVER, OURS = "trace/place", "server_only", "dynamic"
GREEDY = {"longest_prefix": "longest prefix", "best_ratio": "best ratio"}
ASSUMED = ["server", "slowdown", "up", "rtt", "sla"]  # what the paper's set-up has one of each of
KIND = ["task", "tokens", *ASSUMED]
ALONE = float("nan")  # half of the interval of what is computed, and not drawn
COLUMNS = ("id", "task", "client", "arrival", "finished", "call_seconds")


def works(stored: Stored, sweep: str = PLACEMENTS, by: str = PLACE) -> pd.DataFrame:
    """The server's work (s) on a request of each kind (rows), by placement or a setting; 0 where it never comes."""
    found = {}
    for _, run in stored.table(sweep).iterrows():
        requests = seen(stored, sweep, run["run"])
        found[run[by]] = requests.set_index(KIND)["work"]
    return pd.DataFrame(found).fillna(0.0)


def seen(stored: Stored, sweep: str, run: str) -> pd.DataFrame:
    """What came to the server in one run: a row a request, with what its label says and its wait (s)."""
    requests = stored.requests(sweep, run, COLUMNS)
    labels = {label: told(label) for label in requests["client"].unique()}
    requests = requests.join(pd.DataFrame([labels[label] for label in requests["client"]]))
    here = requests["finished"] - requests["arrival"] - requests["call_seconds"]
    return requests.assign(wait=here - requests["work"])


def left(stored: Stored, model: str | None = None) -> pd.DataFrame:
    """What is left to the server under each set of assumptions (rows), by placement: a share of all layers' work.

    The mean over tokens, then over models where it is not of one `model`, each counted alike.
    """
    table = works(stored)
    shares = table.div(table[AT_SERVER], axis=0)
    if model is not None:
        shares = shares.xs(model, level="task", drop_level=False)
    return shares.groupby(level=["task", *ASSUMED]).mean().groupby(level=ASSUMED).mean()


def saved(stored: Stored, model: str | None = None) -> list[Found]:
    """By how much the dynamic program lessens the server's work, %, of a `model` (None: of all)."""
    values = 100 * (1 - left(stored, model)[OURS])
    by_server = values.groupby(level="server").mean().items()
    return [*_spread(values), *(Found(f"mean on {name}", Interval(float(one), ALONE)) for name, one in by_server)]


def gained(stored: Stored, model: str | None = None) -> list[Found]:
    """By how much what is left to the server is less than under each greedy rule, %."""
    shares = left(stored, model)
    return [one for rule, called in GREEDY.items() for one in _spread(gain(shares, rule), f"over {called}, ")]


def gain(shares: pd.DataFrame, rule: str) -> pd.Series:
    """%, under each set of assumptions; 0 where the greedy `rule` leaves nothing."""
    return 100 * (1 - shares[OURS] / shares[rule]).where(shares[rule] > 0, 0.0)


def _spread(values: pd.Series, where: str = "") -> list[Found]:
    parts = {"mean": values.mean(), "least": values.min(), "most": values.max()}
    return [Found(where + name, Interval(float(value), ALONE)) for name, value in parts.items()]


def capacity(stored: Stored) -> list[Found]:
    """How many times the requests/s the server can take by its work that it takes with all layers at it, by server."""
    table = waits(stored)
    table = table[table["load"] == table["load"].min()]  # at every load the same requests
    return [
        Found(f"on {server}", times(of(own, place=AT_SERVER), of(own, place=OURS), "work"))
        for server, own in table.groupby("server")
    ]


def waits(stored: Stored) -> pd.DataFrame:
    """A row a run: mean and largest wait (s) of those that come to the server, and the share of all that is late, %.

    Of the requests that come in the measured window. Late is a request that takes longer than its SLA in all. `work` is
    the server's for a request (s), in the mean over all that begin at a client.
    """
    rows = []
    for _, run in stored.table(WAITS).iterrows():
        requests = seen(stored, WAITS, run["run"])
        columns = {name: requests[name].to_numpy() for name in requests}
        window = measured_window(columns, 0.1)
        own = pd.DataFrame(inside(columns, window))
        began = run["trace.requests"] * (window[1] - window[0]) / window[1]  # at all clients, meanwhile
        late = own["outside"] + own["work"] + own["wait"] > own["limit"] + 1e-5
        rows.append(
            {
                "server": run["trace.servers"].strip("[]'"),
                "load": run["trace.load"],
                "place": run[PLACE],
                "seed": run["seed"],
                "mean": own["wait"].mean(),
                "max": own["wait"].max(),
                "work": requests["work"].sum() / run["trace.requests"],
                "late": 100 * late.sum() / began,
            }
        )
    return pd.DataFrame(rows)


def shorter(stored: Stored, metric: str, loads: Sequence[float]) -> list[Found]:
    """By how many percent the `metric` of waits changes by splitting, by server and load."""
    table = waits(stored)
    return [
        Found(
            f"{server}, load {load:g}",
            percent(of(own, place=OURS, load=load), of(own, place=AT_SERVER, load=load), metric),
        )
        for server, own in table.groupby("server")
        for load in loads
    ]


def by_formula(works_of: pd.Series, at_server: pd.Series, load: float) -> float:
    """The mean wait (s) of Pollaczek and Khinchine: Poisson arrivals of kinds drawn alike, each coming once.

    `at_server` is the work of each kind with all layers at the server, by which the `load` counts; NaN where the server
    cannot take it.
    """
    rate = load / float(at_server.mean())
    busy = rate * float(works_of.mean())
    return rate * float(np.square(works_of).mean()) / (2 * (1 - busy)) if busy < 1 else float("nan")


def mean_waits(table: pd.DataFrame, metric: str) -> dict[float, Interval]:
    """`metric` by load, over seeds."""
    return {float(load): interval(own[metric]) for load, own in table.groupby("load")}
