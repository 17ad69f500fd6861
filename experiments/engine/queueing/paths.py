"""What holds on every path of a queue, whatever the laws: unfinished work, in seconds of service."""

from __future__ import annotations

import numpy as np

from experiments.engine.queueing.laws import Floats


def work_found(arrivals: Floats, sizes: Floats, speed: float = 1.0) -> Floats:
    """The work that each job finds at its arrival where one server of that `speed` never idles (Lindley).

    The same under every order of service. `arrivals` (s) do not fall.
    """
    if len(arrivals) == 0 or len(arrivals) != len(sizes) or not speed > 0:
        raise ValueError(f"as many sizes as arrivals and a positive speed, got {len(arrivals)}, {len(sizes)}, {speed}")
    if np.any(np.diff(arrivals) < 0):
        raise ValueError("arrivals must not fall")
    walk = np.append(0.0, np.cumsum(sizes[:-1] - speed * np.diff(arrivals)))
    return walk - np.minimum.accumulate(walk)


def excess(arrivals: Floats, starts: Floats, finishes: Floats, servers: int) -> tuple[float, float]:
    """The least and the greatest of U(t) - V(t) over all t, by a path of so many servers that stop no job.

    U is the work in the system (s), V that where one server as fast as all of them never idles. If no server idles
    while a job waits, 0 <= U - V <= (servers - 1) * longest job (Grosof, Scully and Harchol-Balter 2018). ValueError if
    a job starts before its arrival, ends before its start, or more run at a time than there are servers.
    """
    sizes = finishes - starts
    if np.any(starts < arrivals) or np.any(sizes <= 0):
        raise ValueError("a job must start after its arrival, and end after its start")
    found = work_found(arrivals, sizes, servers)
    changes = np.concatenate([starts, finishes])
    by_time = np.lexsort((np.repeat([1, -1], len(starts)), changes))  # at an instant, who ends before who starts
    busy = np.cumsum(np.repeat([1, -1], len(starts))[by_time])
    if busy.max() > servers:
        raise ValueError(f"{busy.max()} jobs run at a time on {servers} servers")
    changes = changes[by_time]
    served = np.append(0.0, np.cumsum(busy[:-1] * np.diff(changes)))
    idle = arrivals + (found + sizes) / servers  # V would be 0, if nobody else came
    instants = np.sort(np.concatenate([arrivals, changes, idle]))  # between two of them U - V is a straight line
    last = np.searchsorted(arrivals, instants, "right") - 1
    system = np.cumsum(sizes)[last] - np.interp(instants, changes, served)
    single = np.maximum(found[last] + sizes[last] - servers * (instants - arrivals[last]), 0.0)
    return float((system - single).min()), float((system - single).max())
