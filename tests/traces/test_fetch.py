"""Fetching against a server on this machine: whole, broken off, without ranges, wrong, missing, redirected."""

from __future__ import annotations

import gzip
import hashlib
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from traces import list as listing
from traces.catalogue import CATALOGUE, PublicTrace, public_trace
from traces.checksum import sha256
from traces.fetch import ATTEMPTS, FetchError, fetch, main
from traces.schema import TraceError
from traces.sniff import FORMATS

CONTENT = b"TIMESTAMP,ContextTokens,GeneratedTokens\n" + b"2023-11-16 18:15:46.6805900,374,44\n" * 5000
SUM = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Behaviour:
    """What the server does, and the ranges it was asked for."""

    ranges: bool = True
    cuts: list[int] = field(default_factory=list)  # bytes after which the next answers break off
    codes: list[int] = field(default_factory=list)  # errors that come first
    asked: list[str | None] = field(default_factory=list)


class Handler(BaseHTTPRequestHandler):
    behaviour: Behaviour

    def do_GET(self) -> None:
        told = self.behaviour
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/file")
            self.end_headers()
            return
        told.asked.append(self.headers.get("Range"))
        if told.codes or self.path != "/file":
            self.send_error(told.codes.pop(0) if told.codes else 404)
            return
        start = int(told.asked[-1].removeprefix("bytes=").removesuffix("-")) if told.asked[-1] and told.ranges else 0
        if start >= len(CONTENT):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
        self.end_headers()
        rest = CONTENT[start:]
        self.wfile.write(rest[: told.cuts.pop(0)] if told.cuts else rest)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def behaviour() -> Behaviour:
    return Behaviour()


@pytest.fixture
def entry(behaviour: Behaviour) -> Iterator[PublicTrace]:
    handler = type("Told", (Handler,), {"behaviour": behaviour})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield PublicTrace(
            "made", "a made file", "traces/made.csv.gz", "azure", f"http://127.0.0.1:{server.server_port}/file",
            len(CONTENT), SUM, "none", "here",
        )  # fmt: skip
        server.shutdown()


def run(entry: PublicTrace, folder: Path) -> Path:
    return fetch(entry, folder, pause=0.0)


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "traces").iterdir())


@pytest.mark.parametrize("where", ["/file", "/moved"])
def test_a_file_is_kept_gzipped_under_its_name_alone(tmp_path: Path, entry: PublicTrace, where: str) -> None:
    path = run(replace(entry, url=entry.url.removesuffix("/file") + where), tmp_path)
    assert path == tmp_path / "traces" / "made.csv.gz"
    assert gzip.decompress(path.read_bytes()) == CONTENT
    assert sha256(path) == SUM
    assert left(tmp_path) == ["made.csv.gz"]


def test_a_plain_name_keeps_the_publishers_bytes(tmp_path: Path, entry: PublicTrace) -> None:
    assert run(replace(entry, file="traces/made.csv"), tmp_path).read_bytes() == CONTENT


def test_a_file_that_is_there_is_verified_and_not_downloaded(
    tmp_path: Path, entry: PublicTrace, behaviour: Behaviour
) -> None:
    path = run(entry, tmp_path)
    assert run(entry, tmp_path) == path
    assert len(behaviour.asked) == 1
    path.write_bytes(gzip.compress(CONTENT[:-1]))
    with pytest.raises(FetchError, match=f"sha256 is .*, it should be {SUM}; delete it"):
        run(entry, tmp_path)


def test_a_download_that_breaks_off_is_taken_up_there(
    tmp_path: Path, entry: PublicTrace, behaviour: Behaviour, capsys: pytest.CaptureFixture[str]
) -> None:
    behaviour.cuts = [70_000, 20_000]
    assert sha256(run(entry, tmp_path)) == SUM
    assert behaviour.asked == [None, "bytes=70000-", "bytes=90000-"]
    assert f"the connection ended after 70,000 of {len(CONTENT):,} bytes; attempt 2 of" in capsys.readouterr().err


def test_an_earlier_runs_part_is_taken_up(tmp_path: Path, entry: PublicTrace, behaviour: Behaviour) -> None:
    (tmp_path / "traces").mkdir()
    (tmp_path / "traces" / "made.csv.gz.part").write_bytes(CONTENT[:1000])
    assert sha256(run(entry, tmp_path)) == SUM
    assert behaviour.asked == ["bytes=1000-"]


def test_a_server_without_ranges_starts_anew_and_says_so(
    tmp_path: Path, entry: PublicTrace, behaviour: Behaviour, capsys: pytest.CaptureFixture[str]
) -> None:
    behaviour.ranges, behaviour.cuts = False, [70_000]
    assert sha256(run(entry, tmp_path)) == SUM
    assert "sends no part of a file: started anew" in capsys.readouterr().err


@pytest.mark.parametrize("size", [None, len(CONTENT)])
def test_a_part_longer_than_the_file_starts_anew(tmp_path: Path, entry: PublicTrace, size: int | None) -> None:
    (tmp_path / "traces").mkdir()
    (tmp_path / "traces" / "made.csv.gz.part").write_bytes(CONTENT + b"more")
    assert sha256(run(replace(entry, size=size), tmp_path)) == SUM


def test_a_wrong_checksum_leaves_nothing_and_says_both(tmp_path: Path, entry: PublicTrace) -> None:
    with pytest.raises(FetchError, match=f"sha256 is {SUM}, it should be 00ff; it was deleted"):
        run(replace(entry, sha256="00ff"), tmp_path)
    assert left(tmp_path) == []


def test_a_wrong_size_is_refused_before_the_download(tmp_path: Path, entry: PublicTrace) -> None:
    with pytest.raises(FetchError, match=f"the file has {len(CONTENT):,} bytes, it should have 12"):
        run(replace(entry, size=12), tmp_path)
    assert left(tmp_path) == []


def test_an_unknown_checksum_is_noted_and_compared_later(
    tmp_path: Path, entry: PublicTrace, capsys: pytest.CaptureFixture[str]
) -> None:
    unknown = replace(entry, sha256=None, size=None)
    path = run(unknown, tmp_path)
    assert f"sha256 {SUM}; the publisher's is not known" in capsys.readouterr().out
    assert left(tmp_path) == ["made.csv.gz", "made.csv.gz.sha256"]
    path.write_bytes(gzip.compress(b"other"))
    with pytest.raises(FetchError, match=f"it should be {SUM}"):
        run(unknown, tmp_path)


def test_a_missing_file_is_not_asked_for_again(tmp_path: Path, entry: PublicTrace, behaviour: Behaviour) -> None:
    with pytest.raises(FetchError, match=r"/gone: 404 Not Found"):
        run(replace(entry, url=entry.url.replace("/file", "/gone")), tmp_path)
    assert len(behaviour.asked) == 1


def test_a_busy_server_is_asked_again(tmp_path: Path, entry: PublicTrace, behaviour: Behaviour) -> None:
    behaviour.codes = [503, 429]
    assert sha256(run(entry, tmp_path)) == SUM


def test_a_server_that_never_answers_is_given_up(tmp_path: Path, entry: PublicTrace, behaviour: Behaviour) -> None:
    behaviour.codes = [500] * ATTEMPTS
    with pytest.raises(FetchError, match=f"500 .*, {ATTEMPTS} times$"):
        run(entry, tmp_path)
    behaviour.cuts = [100] * ATTEMPTS
    with pytest.raises(FetchError, match=f"{ATTEMPTS} times; .*part is kept, run this again"):
        run(entry, tmp_path)
    behaviour.cuts = []
    assert sha256(run(entry, tmp_path)) == SUM
    assert behaviour.asked[-1] == f"bytes={ATTEMPTS * 100}-"


def test_a_full_disk_is_refused(tmp_path: Path, entry: PublicTrace, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=2 * len(CONTENT) - 1))
    with pytest.raises(FetchError, match=f"bytes free, this needs {2 * len(CONTENT):,}"):
        run(entry, tmp_path)


def test_a_broken_gzip_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "cut.gz"
    whole = gzip.compress(CONTENT)
    for content in (whole[:-9], whole[:100] + b"\xff" * 9 + whole[109:]):
        path.write_bytes(content)
        with pytest.raises(TraceError, match=r"cut.gz: the gzip file is broken"):
            sha256(path)


def test_the_command_teaches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("TOKENYARD_DATA", raising=False)
    assert main(["azure_2023_conv"]) == 1
    shown = capsys.readouterr()
    assert "719,188 bytes" in shown.out
    assert "CC-BY-4.0" in shown.out
    assert "Give --to FOLDER, or set TOKENYARD_DATA" in shown.err
    assert main(["servegen_client_rates", "--to", str(tmp_path)]) == 1
    shown = capsys.readouterr()
    assert "the first download's is printed and stored, later ones are compared with it" in shown.out
    assert "its publisher has no such file" in shown.err
    assert main(["none"]) == 1
    assert "no public trace is called 'none'; there are azure_2023_conv," in capsys.readouterr().err
    listing.main([])
    listed = capsys.readouterr().out
    assert all(entry.name in listed and entry.licence in listed for entry in CATALOGUE)


def test_the_catalogue_is_sound() -> None:
    assert len({entry.name for entry in CATALOGUE}) == len({entry.file for entry in CATALOGUE}) == len(CATALOGUE)
    for entry in CATALOGUE:
        assert public_trace(entry.name) is entry
        assert entry.format in {form.name for form in FORMATS}
        assert entry.url is None or entry.url.startswith("https://")
        assert entry.sha256 is None or (len(entry.sha256) == 64 and entry.url is not None)


@pytest.mark.parametrize("entry", [entry for entry in CATALOGUE if entry.sha256], ids=lambda entry: entry.name)
def test_files_at_hand_have_their_publishers_checksum(shared_data: Path, entry: PublicTrace) -> None:
    if not (shared_data / entry.file).is_file():
        pytest.skip(f"{entry.file} is not there")
    assert sha256(shared_data / entry.file) == entry.sha256
