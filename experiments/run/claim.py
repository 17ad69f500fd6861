"""Who makes a run: a claim on its folder that one process has at a time, on whichever machine of those that share it.

A claim is a file `.lock.NUMBER` that only one process can create. Where its process has died, seen on its own machine,
or has not touched it for `LOST` seconds, on any other, the next number is there to be claimed: the highest counts.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

NAME = ".lock."
BEAT, LOST = 5.0, 60.0  # s between touches, and without one until a claim counts no more
SOONEST, LATEST = 0.01, 0.5  # s until one looks again


class LostClaimError(OSError):
    """Another process took the run over, as this one was not heard of."""


class Claim:
    """A claim that this process has on `folder`."""

    def __init__(self, folder: Path, number: int) -> None:
        self.folder, self.number = folder, number

    def check(self) -> None:
        """LostClaimError where the claim counts no more."""
        if max(_claims(self.folder), default=0) != self.number:
            raise LostClaimError(f"{self.folder}: another process makes this run, as this one was silent for {LOST} s")

    def beat(self, ended: threading.Event) -> None:
        """Touch the claim from time to time, until the end."""
        while not ended.wait(BEAT):
            with suppress(OSError):  # a folder that cannot be reached for a while
                os.utime(_file(self.folder, self.number))

    def end(self) -> None:
        """Take the claim away, and those that counted no more: the lowest first, so that none of them counts again."""
        for number in sorted(_claims(self.folder)):
            if number <= self.number:
                _file(self.folder, number).unlink(missing_ok=True)


@contextmanager
def claimed(folder: Path) -> Iterator[Claim]:
    """Wait until nobody else has a claim on `folder`, which is there, and have one; OSError where none can be made."""
    claim = _wait(folder)
    ended = threading.Event()
    threading.Thread(target=claim.beat, args=(ended,), daemon=True).start()
    try:
        yield claim
    finally:
        ended.set()
        claim.end()


def _wait(folder: Path) -> Claim:
    heard: dict[str, tuple[float, float]] = {}
    pause = SOONEST
    while True:
        last = max(_claims(folder), default=0)
        said = _said(folder, last) if last else None
        if last == 0 or (said is not None and _is_lost(said, heard)):
            claim = Claim(folder, last + 1)
            if _create(_file(folder, claim.number)):
                before = _said(folder, last) if last else None  # meanwhile the lost one may have been taken away
                if max(_claims(folder)) == claim.number and (before and before[0]) == (said and said[0]):
                    return claim
                _file(folder, claim.number).unlink(missing_ok=True)
        time.sleep(pause)
        pause = min(2 * pause, LATEST)


def _file(folder: Path, number: int) -> Path:
    return folder / f"{NAME}{number}"


def _claims(folder: Path) -> list[int]:
    ends = (name.removeprefix(NAME) for name in os.listdir(folder) if name.startswith(NAME))
    return [int(end) for end in ends if end.isdigit()]


def _create(path: Path) -> bool:
    """Whether this process made the file; it says who made it, and when, so that no two are alike."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        return False
    try:
        os.write(handle, json.dumps([_machine(), os.getpid(), _started(os.getpid()), time.time_ns()]).encode())
    except OSError:
        path.unlink()
        raise
    finally:
        os.close(handle)
    return True


def _said(folder: Path, number: int) -> tuple[str, float] | None:
    """What a claim says, and when it was touched; it is opened, for NFS may only then ask its server. None: none."""
    try:
        with _file(folder, number).open() as file:
            return file.read(), os.fstat(file.fileno()).st_mtime
    except FileNotFoundError:
        return None


def _is_lost(said: tuple[str, float], heard: dict[str, tuple[float, float]]) -> bool:
    """Whether the process of a claim has died, or is silent for too long by this machine's clock, kept in `heard`."""
    text, touched = said
    with suppress(TypeError, ValueError):
        machine, process, started, _ = json.loads(text)
        if machine and machine == _machine():
            return _started(process) != started
    now = time.monotonic()
    if text not in heard or heard[text][0] != touched:
        heard[text] = touched, now
    return now - heard[text][1] > LOST


def _machine() -> str:
    """What all processes that can see each other have in common, and no others; empty where that cannot be said."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _started(process: int) -> str:
    """When a process of this machine began, in the kernel's ticks; empty where there is none, or it has ended."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]
