"""Make the table of word senses that ships, from WordNet's own files.

apt-get install wordnet-base
python -m traces.text.make_senses --wordnet /usr/share/wordnet
"""

from __future__ import annotations

import argparse
import gzip
import re
import sys
from collections import Counter, defaultdict
from pathlib import Path

from traces.text.senses import SHIPPED

PARTS = ("noun", "verb", "adj", "adv")
_WORD = re.compile(r"[a-z]{3,}")  # letters and abbreviations are names of things, not words with senses
# WordNet's lexicographer files, in the order of their numbers (lexnames.5WN).
_LEXNAMES = (
    "adj.all adj.pert adv.all noun.Tops noun.act noun.animal noun.artifact noun.attribute noun.body noun.cognition "
    "noun.communication noun.event noun.feeling noun.food noun.group noun.location noun.motive noun.object noun.person "
    "noun.phenomenon noun.plant noun.possession noun.process noun.quantity noun.relation noun.shape noun.state "
    "noun.substance noun.time verb.body verb.change verb.cognition verb.communication verb.competition "
    "verb.consumption verb.contact verb.creation verb.emotion verb.motion verb.perception verb.possession verb.social "
    "verb.stative verb.weather adj.ppl"
)
_FILES = _LEXNAMES.split()


def _files_of_synsets(folder: Path, part: str) -> dict[str, str]:
    """Offset -> lexicographer file of each synset that is no instance (a named person, river, ...)."""
    found = {}
    for line in (folder / f"data.{part}").read_text(encoding="latin-1").splitlines():
        if not line.startswith(" "):  # the licence
            offset, number, _ = line.split(" ", 2)
            if " @i " not in line.split("|")[0]:
                found[offset] = _FILES[int(number)]
    return found


def table(folder: Path) -> list[str]:
    """Lines `word TAB file TAB senses TAB uses TAB file ...`, in order, of words of at least 3 letters and 2 senses.

    Uses are how often the senses are tagged in WordNet's concordances.
    """
    senses: dict[str, Counter[str]] = defaultdict(Counter)
    for part in PARTS:
        files = _files_of_synsets(folder, part)
        for line in (folder / f"index.{part}").read_text(encoding="latin-1").splitlines():
            word, *fields = line.split()
            if not line.startswith(" ") and _WORD.fullmatch(word):
                offsets = fields[-int(fields[1]) :]
                senses[word].update(files[offset] for offset in offsets if offset in files)
    uses: dict[tuple[str, str], int] = Counter()
    for line in (folder / "cntlist.rev").read_text(encoding="latin-1").splitlines():
        key, _, count = line.split()
        word, place = key.split("%")
        uses[word, _FILES[int(place.split(":")[1])]] += int(count)
    return [
        "\t".join([word, *(f"{file}\t{count}\t{uses[word, file]}" for file, count in sorted(found.items()))])
        for word, found in sorted(senses.items())
        if found.total() >= 2
    ]


def main(arguments: list[str]) -> int:
    """Write the table; 1 where WordNet's files are not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wordnet", type=Path, default=Path("/usr/share/wordnet"), help="folder of index.noun, ...")
    parser.add_argument("--output", type=Path, default=SHIPPED, help="default: the table that ships")
    options = parser.parse_args(arguments)
    try:
        lines = table(options.wordnet)
    except FileNotFoundError as error:
        print(f"{error.filename} is not there: apt-get install wordnet-base", file=sys.stderr)
        return 1
    options.output.write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode(), 9, mtime=0))
    print(f"{options.output}: {len(lines)} words, {options.output.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
