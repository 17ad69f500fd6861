"""Facts about the machine and the libraries of a measurement, for its provenance."""

from __future__ import annotations

import ctypes
import datetime
import os
import platform
import shlex
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h


def cpu_name() -> str:
    """The processor's name and the number of its cores that this process may use."""
    information = Path("/proc/cpuinfo")
    names = []
    if information.is_file():
        lines = information.read_text(encoding="utf-8", errors="replace").splitlines()
        names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.processor() or platform.machine()
    cores = len(os.sched_getaffinity(0))
    return f"{name}, {cores} core{'s' if cores > 1 else ''}"


def host_memory_bytes() -> int:
    """Bytes of memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def hold(threads: int, cores: Sequence[int] | None) -> None:
    """Run this process on the CPUs `cores` (None: those that it has) with so many threads (0: the libraries' choice).

    The libraries read the environment as they are loaded: call this before, and see `running` for what came of it.
    """
    if cores is not None:
        try:
            for task in os.listdir("/proc/self/task"):  # a library that is loaded may have begun threads
                os.sched_setaffinity(int(task), cores)
        except OSError as error:
            allowed = sorted(os.sched_getaffinity(0))
            raise ValueError(f"cores={list(cores)}: this process may run on {allowed} ({error})") from error
    if threads:
        os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads)))
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(threads)


def running() -> dict[str, Any]:
    """The threads that torch's operators take when called from this thread, and the CPUs of all threads there are."""
    import torch

    tasks = [int(name) for name in os.listdir("/proc/self/task")]
    return {"threads": torch.get_num_threads(), "cores": sorted({core for task in tasks for core in _cores(task)})}


def _cores(task: int) -> set[int]:
    try:
        return os.sched_getaffinity(task)
    except ProcessLookupError:  # it has ended since
        return set()


def check_held(found: Mapping[str, Any], threads: int, cores: Sequence[int] | None) -> None:
    """ValueError if what is `running` is not what was asked for (`hold`)."""
    asked = {"threads": threads or found["threads"], "cores": found["cores"] if cores is None else sorted(cores)}
    for name, value in asked.items():
        if found[name] != value:
            raise ValueError(f"{name}={value} was asked for, and {found[name]} is what the engine runs with")


def library_versions(*names: str) -> dict[str, str]:
    """Versions of python and of the named distributions."""
    return {"python": platform.python_version(), **{name: version(name) for name in names}}


def command(verb: str, leave_out: tuple[str, ...] = ("output",)) -> str:
    """The command `tokenyard VERB ...` that was given, without overrides in `leave_out` (paths of one machine)."""
    kept = [word for word in sys.argv[1:] if word.split("=", 1)[0] not in leave_out]
    return shlex.join(["tokenyard", *verb.split(), *kept])


def device_facts(device: str) -> dict[str, Any]:
    """device_name, driver and memory_bytes of a torch device (`cpu`, `cuda`, `cuda:1`)."""
    if not device.startswith("cuda"):
        return {
            "device_name": cpu_name(),
            "driver": f"{platform.system()} {platform.release()}",
            "memory_bytes": host_memory_bytes(),
        }
    import torch

    properties = torch.cuda.get_device_properties(device)
    return {
        "device_name": properties.name,
        "driver": f"CUDA {torch.version.cuda}, driver {_nvidia_driver()}",
        "memory_bytes": properties.total_memory,
    }


def keep_freed_memory() -> str:
    """Have the C library keep freed memory for what comes next, and say what was done, for a provenance.

    By default glibc gives blocks of 32 MB and more back to the kernel, and a transformer whose KV tensors have grown to
    that size pays for the same pages anew in every step: 2.5 times the seconds of a step of 8 jobs of 1,024 tokens.
    """
    keep = getattr(ctypes.CDLL(None), "mallopt", None)
    if keep is None:
        return "the system's own"
    largest = 2**31 - 1
    done = keep(M_MMAP_THRESHOLD, 2**30) and keep(M_TRIM_THRESHOLD, largest)
    return "glibc, freed memory kept (M_MMAP_THRESHOLD 1 GiB, M_TRIM_THRESHOLD 2 GiB)" if done else "glibc's defaults"


def today() -> str:
    """The date, ISO 8601, UTC."""
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def _nvidia_driver() -> str:
    path = Path("/sys/module/nvidia/version")
    return path.read_text(encoding="ascii").strip() if path.is_file() else "unknown"
