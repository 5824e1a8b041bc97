"""Recognises the edition of the annotations from folders and headers, and checks that they agree."""

from __future__ import annotations

import codecs
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from data.labels import EXPRESSIONS, Edition, Task, action_unit_columns
from data.text import counted

FileKind = Literal[Task.VA, Task.EXPR, Task.AU, "mtl"]

MTL_EDITION = Edition.ABAW_2022
"""Multi-task files came with the third challenge, and have its expressions and action units."""
MTL_NAMES = ("image", "valence", "arousal", "expression", "aus")

_CHALLENGES = {Edition.ABAW_2020: 1, Edition.ABAW_2021: 2, Edition.ABAW_2022: 3}
"""The challenge that brought an edition; later ones have the last."""
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
_CHALLENGE_FOLDER = re.compile(
    rf"\b(?:({'|'.join(_ORDINALS)}) ?abaw|(\d{{1,2}})(?:st|nd|rd|th) ?abaw|abaw ?(20\d\d|\d{{1,2}})(?!\d))"
)
"""In a folder's name, lower case and with single spaces."""


SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}
"""What programs write between values in place of commas."""
BINARY = "binary data"
_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
"""A longer one first, because it begins with a shorter one."""


@dataclass(frozen=True)
class Evidence:
    """Evidence for an edition, with the editions that it fits; none if it is unknown."""

    seen: str
    fits: tuple[Edition, ...]
    num_files: int
    example: str
    """One of the files, below the root."""

    def __str__(self) -> str:
        number = counted(self.num_files, "files")
        return f"{self.seen} ({number}, such as {self.example}): {', '.join(self.fits) or 'no edition'}"


@dataclass(frozen=True)
class Recognised:
    edition: Edition
    evidence: tuple[Evidence, ...]


def plain(name: str) -> str:
    """A folder's or column's name without case, spaces and underscores."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def header_names(header: str) -> tuple[str, ...]:
    """The names in a header line without case, spaces and quotes, a trailing comma aside."""
    names = [re.sub(r"[\s_\"']", "", name.lower()) for name in header.split(",")]
    return tuple(names[:-1] if len(names) > 1 and not names[-1] else names)


def names_of(kind: FileKind, edition: Edition) -> tuple[str, ...]:
    """The names that a file's header has in an edition."""
    if kind == "mtl":
        return MTL_NAMES
    return {Task.VA: ("valence", "arousal"), Task.EXPR: EXPRESSIONS[edition], Task.AU: action_unit_columns(edition)}[
        kind
    ]


def header_of(kind: FileKind, edition: Edition) -> str:
    """The header as the data set writes it."""
    names = names_of(kind, edition)
    if kind is Task.EXPR:
        names = tuple(name.capitalize() for name in names)
    return ",".join(names).upper() if kind is Task.AU else ",".join(names)


def editions_of(kind: FileKind, header: str) -> tuple[Edition, ...]:
    """The editions in which a file of the kind has this header, whatever its spelling."""
    editions = (MTL_EDITION,) if kind == "mtl" else tuple(Edition)
    return tuple(edition for edition in editions if names_of(kind, edition) == header_names(header))


def first_line(path: Path) -> str:
    """The first line of a text file; as much of it as a header needs.

    Files in other encodings or with other separators are recognised here too; the reader then says what is wrong.
    """
    with path.open("rb") as file:
        start = file.read(1024)
    encoding = encoding_of(start)
    text = start.decode("utf-8-sig" if encoding in ("UTF-8", BINARY) else encoding, "replace")
    line = re.split(r"[\r\n]", text, maxsplit=1)[0].strip()
    return line if "," in line else re.sub("|".join(map(re.escape, SEPARATORS)), ",", line)


def encoding_of(start: bytes) -> str:
    """The encoding of a text by its first bytes; `BINARY` if it is no text."""
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if start.startswith(mark):
            return encoding
    if b"\0" not in start:
        return "UTF-8"
    # Every second byte of ASCII text in UTF-16 is 0.
    if not any(start[1::2]):
        return "UTF-16LE"
    return "UTF-16BE" if not any(start[::2]) else BINARY


def recognise(root: Path, files: Iterable[tuple[Path, FileKind]], given: Edition | None) -> Recognised:
    """The edition of the annotation files under a root, with its evidence.

    Args:
        root: The name of this folder counts as evidence too.
        files: Each annotation file with its kind.
        given: The edition to use, whatever the evidence.

    Raises:
        ValueError: The evidence fits no edition or several, and none is given.
    """
    evidence = _gather(root, files)
    telling = [row for row in evidence if row.fits]
    fitting = [edition for edition in Edition if telling and all(edition in row.fits for row in telling)]
    if given is None and len(fitting) != 1:
        raise ValueError(
            f"{root}: cannot recognise the edition: the files fit {', '.join(fitting) or 'no edition'}; set "
            f"ingest.edition, or give a folder with one edition only. Found: {'; '.join(map(str, evidence))}"
        )
    return Recognised(given or fitting[0], evidence)


def folder_editions(root: Path, path: Path) -> dict[str, tuple[Edition, ...]]:
    """The folders above a file, the root included, that are called after a challenge, and the edition of each."""
    found = {}
    for folder in (root.resolve().name, *path.relative_to(root).parts[:-1]):
        if match := _CHALLENGE_FOLDER.search(re.sub(r"[^a-z0-9]+", " ", folder.lower())):
            found[folder] = _editions_of_challenge(match)
    return found


def _gather(root: Path, files: Iterable[tuple[Path, FileKind]]) -> tuple[Evidence, ...]:
    seen: dict[tuple[str, tuple[Edition, ...]], list[str]] = defaultdict(list)
    for path, kind in files:
        below = path.relative_to(root).as_posix()
        for folder, editions in folder_editions(root, path).items():
            seen[f"folder {folder!r}", editions].append(below)
        header = first_line(path)
        fits = editions_of(kind, header)
        what = f"with {len(header_names(header))} names" if fits else repr(header[:60])
        seen[f"{kind.upper()} header {what}", fits].append(below)
    return tuple(Evidence(what, fits, len(paths), paths[0]) for (what, fits), paths in sorted(seen.items()))


def _editions_of_challenge(match: re.Match[str]) -> tuple[Edition, ...]:
    """Challenges are counted (`Third ABAW`, `5th ABAW`, `ABAW3`) or called by their year (`ABAW2020`)."""
    said = match[1] or match[2] or match[3]
    number = _ORDINALS.index(said) + 1 if said in _ORDINALS else int(said)
    number = number - 2019 if number >= 2020 else number
    return tuple(edition for edition, first in _CHALLENGES.items() if first == min(number, 3))
