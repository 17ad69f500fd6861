"""Named ways to spoil the lines, the bytes and the compression of a made text file."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable
from random import Random


def lines_deleted(lines: list[str], rng: Random) -> list[str]:
    at = rng.randrange(len(lines))
    return lines[:at] + lines[at + rng.choice((1, 1, 3, len(lines))) :]


def blank_lines(lines: list[str], rng: Random) -> list[str]:
    at = rng.choice((0, len(lines), rng.randrange(len(lines) + 1)))
    return lines[:at] + [rng.choice(("", " ", "\t", "\x0c"))] * rng.choice((1, 2)) + lines[at:]


def comments(lines: list[str], rng: Random) -> list[str]:
    at = rng.randrange(len(lines) + 1)
    return [*lines[:at], rng.choice(("# a comment", "// a comment", "/* */", "--", "#")), *lines[at:]]


def lines_joined(lines: list[str], rng: Random) -> list[str]:
    at = rng.randrange(len(lines))
    return [*lines[:at], "".join(lines[at : at + 2]), *lines[at + 2 :]]


def line_split(lines: list[str], rng: Random) -> list[str]:
    at = rng.randrange(len(lines))
    cut = rng.randrange(len(lines[at]) + 1)
    return [*lines[:at], lines[at][:cut], lines[at][cut:], *lines[at + 1 :]]


LINES: dict[str, Callable[[list[str], Random], list[str]]] = {
    function.__name__: function for function in (lines_deleted, blank_lines, comments, lines_joined, line_split)
}


def truncated(content: bytes, rng: Random) -> bytes:
    return content[: rng.randrange(len(content) + 1)]


def bytes_flipped(content: bytes, rng: Random) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 8))):
        if changed:
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def bytes_inserted(content: bytes, rng: Random) -> bytes:
    at = rng.randrange(len(content) + 1)
    return content[:at] + rng.randbytes(rng.choice((1, 2, 40))) + content[at:]


def bytes_removed(content: bytes, rng: Random) -> bytes:
    at = rng.randrange(len(content) + 1)
    return content[:at] + content[at + rng.choice((1, 2, 40)) :]


def recoded(content: bytes, rng: Random) -> bytes:
    """UTF-16, UTF-32, or Latin-1 with a letter beyond ASCII."""
    text = content.decode("utf-8", "replace")
    if rng.random() < 0.5:
        return text.encode(rng.choice(("utf-16", "utf-16-le", "utf-32")))
    at = rng.randrange(len(text) + 1)
    return (text[:at] + "é" + text[at:]).encode("latin-1", "replace")


def byte_order_mark(content: bytes, rng: Random) -> bytes:
    return b"\xef\xbb\xbf" + content


def other_line_ends(content: bytes, rng: Random) -> bytes:
    """CRLF, which is as good as LF; or CR alone, LFCR or a stray CR, which are not."""
    end = rng.choice((b"\r\n", b"\r\n", b"\r\n", b"\r", b"\n\r", b"\r\r\n"))
    return content.replace(b"\n", end)


def no_last_line_end(content: bytes, rng: Random) -> bytes:
    return content.rstrip(b"\n")


def nul_bytes(content: bytes, rng: Random) -> bytes:
    at = rng.choice((0, len(content), rng.randrange(len(content) + 1)))
    return content[:at] + b"\0" * rng.choice((1, 512)) + content[at:]


def empty(content: bytes, rng: Random) -> bytes:
    return rng.choice((b"", b"", b"\n", b" "))


BYTES: dict[str, Callable[[bytes, Random], bytes]] = {
    function.__name__: function
    for function in (
        truncated, bytes_flipped, bytes_inserted, bytes_removed, recoded, byte_order_mark, other_line_ends,
        no_last_line_end, nul_bytes, empty,
    )
}  # fmt: skip


def gzip_members(content: bytes, rng: Random) -> bytes:
    """Two gzip streams, one behind the other: as good as one."""
    text = gzip.decompress(content)
    at = rng.randrange(len(text) + 1)
    return gzip.compress(text[:at], mtime=0) + gzip.compress(text[at:], mtime=0)


def gzip_twice(content: bytes, rng: Random) -> bytes:
    return gzip.compress(content, mtime=0)


def gzip_tail(content: bytes, rng: Random) -> bytes:
    return content + rng.choice((b"\0" * 512, b"tail", b"\n", b"\x1f\x8b", rng.randbytes(9)))


def gzip_missing(content: bytes, rng: Random) -> bytes:
    """Plain text in a file whose name says gzip."""
    return gzip.decompress(content)


def gzip_bomb(content: bytes, rng: Random) -> bytes:
    """Three million blanks behind the rows."""
    return content + gzip.compress(b" " * 3_000_000, mtime=0)


def other_compression(content: bytes, rng: Random) -> bytes:
    return rng.choice((bz2.compress, lzma.compress))(gzip.decompress(content))


def gzip_truncated(content: bytes, rng: Random) -> bytes:
    return content[: rng.choice((rng.randrange(len(content)), len(content) - rng.randrange(1, 12)))]


def gzip_flipped(content: bytes, rng: Random) -> bytes:
    return bytes_flipped(content, rng)


ZIPPED: dict[str, Callable[[bytes, Random], bytes]] = {
    function.__name__: function
    for function in (
        gzip_members, gzip_twice, gzip_tail, gzip_missing, gzip_bomb, other_compression, gzip_truncated, gzip_flipped,
    )
}  # fmt: skip


def zipped_unsaid(content: bytes, rng: Random) -> bytes:
    """A compressed file whose name says plain text."""
    return rng.choice((gzip.compress, bz2.compress, lzma.compress))(content)


PLAIN: dict[str, Callable[[bytes, Random], bytes]] = {"zipped_unsaid": zipped_unsaid}
