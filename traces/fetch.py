"""Download a public trace from its publisher, and verify it."""

from __future__ import annotations

import argparse
import gzip
import http.client
import os
import shutil
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from tqdm import tqdm

from traces.catalogue import PublicTrace, public_trace
from traces.checksum import CHUNK, sha256
from traces.locate import VARIABLE
from traces.schema import TraceError

ATTEMPTS = 5
PAUSE = 2.0  # s before the second attempt; it doubles from one to the next
TIMEOUT = 60.0  # s without a byte
HOPELESS = (400, 401, 403, 404, 410, 451)  # http answers that another attempt does not change
_BROKEN = (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError)


class FetchError(TraceError):
    """A download that did not succeed; the message names the address and what was wrong."""


def fetch(entry: PublicTrace, folder: Path, pause: float = PAUSE) -> Path:
    """The verified file of `entry` under `folder`, downloaded if it is not there.

    A download goes to `.part` beside it and is taken up again where it broke off. FetchError for a size or checksum
    that is not the entry's (nothing then bears the final name), a full disk, or an address that does not answer.
    """
    path = folder / entry.file
    noted = path.with_name(f"{path.name}.sha256")  # the checksum of the first download, where the publisher states none
    expected = entry.sha256 or (noted.read_text(encoding="utf-8")[:64] if noted.is_file() else None)
    if path.is_file():
        _verify(path, sha256(path), expected, f"delete it, or set another folder: --to or {VARIABLE}")
        return path
    if entry.url is None:
        raise FetchError(
            f"{entry.name}: its publisher has no such file; it was made of {entry.source}. "
            f"Put it at {path} if you have it"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    _download(entry.url, part, entry.size, entry.packed, pause)
    found = sha256(part)
    if expected not in (None, found):
        part.unlink()
        _verify(part, found, expected, "it was deleted; the publisher's file may have changed")
    _keep(part, path, entry.packed)
    if expected is None:
        noted.write_text(f"{found}  {path.name}\n", encoding="utf-8")
    _verify(path, found, expected, "")
    return path


def _verify(path: Path, found: str, expected: str | None, advice: str) -> None:
    if expected is None:
        print(f"{path}: sha256 {found}; the publisher's is not known, so this is the one to compare with")
    elif found == expected:
        print(f"{path}: sha256 {found}, as it should be")
    else:
        raise FetchError(f"{path}: sha256 is {found}, it should be {expected}; {advice}")


def _keep(part: Path, path: Path, packed: bool) -> None:
    """Move `part` to `path`, gzipped if `packed`, so that no half-written file bears that name."""
    if not packed:
        os.replace(part, path)
        return
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with (
            part.open("rb") as plain,
            temporary.open("wb") as file,
            gzip.GzipFile("", "wb", 6, file, mtime=0) as zipped,
        ):
            shutil.copyfileobj(plain, zipped, CHUNK)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    part.unlink()


def _download(url: str, part: Path, size: int | None, packed: bool, pause: float) -> None:
    """Bring `part` to the whole of `url`, in up to ATTEMPTS attempts."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _take_up(url, part, size, packed)
            return
        except urllib.error.HTTPError as error:
            if error.code in HOPELESS:
                raise FetchError(f"{url}: {error.code} {error.reason}") from error
            reason = f"{error.code} {error.reason}"
        except _BROKEN as error:
            reason = str(getattr(error, "reason", error)) or type(error).__name__
        if attempt < ATTEMPTS:
            wait = pause * 2 ** (attempt - 1)
            print(f"{url}: {reason}; attempt {attempt + 1} of {ATTEMPTS} in {wait:g} s", file=sys.stderr)
            time.sleep(wait)
    kept = f"; {part} is kept, run this again to go on" if part.is_file() else ""
    raise FetchError(f"{url}: {reason}, {ATTEMPTS} times{kept}")


def _take_up(url: str, part: Path, size: int | None, packed: bool) -> None:
    """Download what `part` still lacks of `url`; ConnectionError if the connection ends before the file does."""
    have = part.stat().st_size if part.is_file() else 0
    if size is not None and have > size:
        print(f"{part} is longer than the file should be: started anew", file=sys.stderr)
        part.unlink()
        have = 0
    if have and have == size:
        return
    request = urllib.request.Request(url, headers={"Accept-Encoding": "identity", "User-Agent": "tokenyard"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        part.unlink()  # it holds all there is, or more: only a whole download can tell
        raise ConnectionError("the server has no more than was downloaded before: started anew") from error
    with response:
        resumed = have > 0 and response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        if have and not resumed:
            print(f"{url}: the server sends no part of a file: started anew", file=sys.stderr)
        start = have if resumed else 0
        stated = response.headers.get("Content-Length")
        total = size if stated is None else start + int(stated)
        if size is not None and total != size:
            raise FetchError(f"{url}: the file has {total:,} bytes, it should have {size:,}")
        if total is not None:
            _check_space(part.parent, total - start + (total if packed else 0))
        with (
            part.open("ab" if resumed else "wb") as file,
            tqdm(total=total, initial=start, unit="B", unit_scale=True, desc=part.stem) as bar,
        ):
            while chunk := response.read(CHUNK):
                file.write(chunk)
                bar.update(len(chunk))
    have = part.stat().st_size
    if total is not None and have < total:
        raise ConnectionError(f"the connection ended after {have:,} of {total:,} bytes")


def _check_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise FetchError(f"{folder} has {free:,} bytes free, this needs {needed:,}")


def _heading(entry: PublicTrace) -> str:
    checksum = entry.sha256 or (
        "the publisher's is not known: the first download's is printed and stored, later ones are compared with it"
    )
    size = "not known" if entry.size is None else f"{entry.size:,} bytes"
    facts = {"size": size, "sha256": checksum, "licence": entry.licence, "source": entry.source}
    facts["from"] = entry.url or "no single file of the publisher"
    return "\n".join([f"{entry.name}: {entry.what}", *(f"  {name:<9}{fact}" for name, fact in facts.items())])


def main(arguments: list[str] | None = None) -> int:
    """Fetch the trace that `arguments` name."""
    parser = argparse.ArgumentParser(
        description="Download a public trace from its publisher. Its size, checksum and licence are shown first; a "
        "broken download is taken up where it ended; a file that is there already is verified, not downloaded.",
        epilog="example: tokenyard trace fetch azure_2023_conv --to ~/data",
    )
    parser.add_argument("name", metavar="NAME", help="the trace's name: tokenyard trace list")
    parser.add_argument("--to", type=Path, metavar="FOLDER", help=f"the folder of public data (default: ${VARIABLE})")
    options = parser.parse_args(arguments)
    try:
        entry = public_trace(options.name)
        print(_heading(entry), flush=True)
        folder = options.to or os.environ.get(VARIABLE)
        if not folder:
            raise FetchError(f"where to? Give --to FOLDER, or set {VARIABLE} to the folder of public data")
        fetch(entry, Path(folder).expanduser())
    except BrokenPipeError:  # whoever reads the output has read enough
        raise
    except (TraceError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; run this again to go on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit("this is now: tokenyard trace fetch")
