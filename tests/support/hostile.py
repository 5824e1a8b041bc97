"""Annotation trees with every quirk that the data set's copies have, in all editions, and what must come of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path

from data.annotations.editions import FileKind, header_of
from data.annotations.findings import Finding, Kind
from data.labels import ACTION_UNITS, EXPRESSIONS, Edition, Split, Task

Row = tuple[float | None, ...]
"""The values of a row; None where one is missing."""

DAMAGE = (
    Kind.BYTE_ORDER_MARK,
    Kind.OTHER_LINE_ENDS,
    Kind.NO_LAST_NEWLINE,
    Kind.HEADER_SPELLING,
    Kind.TRAILING_BLANK_LINES,
    Kind.TRAILING_COMMAS,
    Kind.SPACES,
    Kind.FLOATS,
)
"""What can be wrong with a file without any harm."""

PAIRS = {
    **dict.fromkeys(
        [
            *("30-30-1920x1080", "46-30-484x360", "52-30-1280x720", "135-24-1920x1080", "130-25-1280x720"),
            *("49-30-1280x720", "6-30-1920x1080", "video10_1", "video29", "video49", "video5", "video55", "video74"),
        ],
        ("_left", "_right"),
    ),
    "10-60-1280x720": ("", "_right"),
    "video59": ("", "_right"),
    "video2": ("", "_left"),
}
"""The data set's 16 videos with two annotated people, and how their tracks are called."""

ONES = ("video45_1", "video45_2", "video86_3", "107", "122-60-1920x1080-1")
"""Videos whose names could be taken for something else."""


@dataclass(frozen=True)
class Layout:
    """How a release calls its folders."""

    edition: Edition
    root: str
    tasks: Mapping[Task, str]
    splits: Mapping[Split, str]


def _layout(edition: Edition, root: str, tasks: tuple[str, str, str], train: str, validation: str) -> Layout:
    splits = {Split.TRAIN: train, Split.VALIDATION: validation}
    return Layout(edition, root, dict(zip(Task, tasks, strict=True)), splits)


_SETS = ("VA_Set", "EXPR_Set", "AU_Set")
_CHALLENGES = ("VA_Estimation_Challenge", "EXPR_Classification_Challenge", "AU_Detection_Challenge")
_SPACED = ("va estimation challenge", "EXPR Recognition Challenge", "AU_detection_Challenge")
LAYOUTS = (
    _layout(Edition.ABAW_2020, "annotations", _SETS, "Training_Set", "Validation_Set"),
    _layout(Edition.ABAW_2021, "2nd ABAW annotations", _SETS, "Train_Set", "VALIDATION SET"),
    _layout(Edition.ABAW_2022, "Third ABAW Annotations", _CHALLENGES, "Train_Set", "Validation_Set"),
    _layout(Edition.ABAW_2022, "5th_ABAW_Annotations", _CHALLENGES, "Train_Set", "Validation_Set"),
    _layout(Edition.ABAW_2022, "6th ABAW Annotations", _SPACED, "train set", "validation_set"),
)

MTL_GENERATIONS = (
    ("train_set.txt", "validation_set.txt"),
    ("training_set_annotations.txt", "validation_set_annotations.txt"),
)


@dataclass
class Hostile:
    """A tree, and what must be read from it."""

    root: Path
    edition: Edition
    labels: dict[tuple[str, Task], dict[int, Row]] = field(default_factory=dict)
    """The values of each frame that has a row."""
    findings: set[Finding] = field(default_factory=set)


def num_values(task: Task, edition: Edition) -> int:
    return {Task.VA: 2, Task.EXPR: 1, Task.AU: len(ACTION_UNITS[edition])}[task]


def example_rows(task: Task, edition: Edition, number: int = 4) -> list[Row]:
    """Rows with every kind of value: the lowest, the highest, all missing and one missing."""
    width = num_values(task, edition)
    first, last = {Task.VA: (-1.0, 1.0), Task.EXPR: (0.0, len(EXPRESSIONS[edition]) - 1.0), Task.AU: (0.0, 1.0)}[task]
    rows = [(first,) * width, (None,) * width, (last,) * width, (None, *(last,) * (width - 1))]
    return [rows[index % 4] for index in range(number)]


def render(kind: FileKind, edition: Edition, rows: Sequence[Sequence[str]], damage: Set[Kind]) -> bytes:
    """The bytes of a label file whose cells are given, with the damage."""
    header = header_of(kind, edition)
    if Kind.HEADER_SPELLING in damage:
        header = header.swapcase().replace(",", " , ")
    separator = " ,\t" if Kind.SPACES in damage else ","
    end = "," if Kind.TRAILING_COMMAS in damage else ""
    lines = [header, *(separator.join(row) + end for row in rows)]
    if Kind.TRAILING_BLANK_LINES in damage:
        lines += ["", " "]
    newline = "\r\n" if Kind.OTHER_LINE_ENDS in damage else "\n"
    text = newline.join(lines) + ("" if Kind.NO_LAST_NEWLINE in damage else newline)
    return text.encode("utf-8-sig" if Kind.BYTE_ORDER_MARK in damage else "utf-8")


def cells(task: Task, row: Row, damage: Set[Kind] = frozenset()) -> list[str]:
    """A row as the files write it, missing values as their sentinels."""
    values = [{Task.VA: -5.0}.get(task, -1.0) if value is None else value for value in row]
    if task is Task.VA:
        return [repr(value) for value in values]
    return [f"{value:.1f}" if Kind.FLOATS in damage else f"{value:.0f}" for value in values]


def counted(task: Task, rows: Sequence[Row], damage: Iterable[Kind]) -> dict[Kind, int]:
    """What must be counted of a file with that damage."""
    per_row = dict.fromkeys((Kind.TRAILING_COMMAS, Kind.SPACES), len(rows))
    values = 0 if task is Task.VA else sum(map(len, rows))
    counts = {**per_row, Kind.TRAILING_BLANK_LINES: 2, Kind.FLOATS: values}
    found = {kind: counts.get(kind, 1) for kind in damage}
    if task is Task.EXPR and Kind.SPACES in found:
        del found[Kind.SPACES]  # there is no comma that a space could stand beside
    return {kind: count for kind, count in found.items() if count}


def harmless_tree(root: Path, layout: Layout) -> Hostile:
    """A tree in which each file has another harmless damage, and the last one has all."""
    tree = Hostile(root, layout.edition)
    track_ids = [name + suffix for name, suffixes in PAIRS.items() for suffix in suffixes] + list(ONES)
    for name in (*PAIRS, *ONES):
        _touch(root / "videos" / f"batch{len(name) % 3}" / f"{name}.{'avi' if '-' in name else 'mp4'}")
    damages = [frozenset[Kind](), *(frozenset({kind}) for kind in DAMAGE), frozenset(DAMAGE)]
    for task in Task:
        for index, track_id in enumerate(track_ids):
            damage = damages[index % len(damages)]
            rows = example_rows(task, layout.edition, 3 + index)
            split = list(layout.splits)[index % 5 == 4]
            path = root / layout.root / layout.tasks[task] / layout.splits[split] / f"{track_id}.txt"
            content = render(task, layout.edition, [cells(task, row, damage) for row in rows], damage)
            _write(path, content)
            tree.labels[track_id, task] = dict(enumerate(rows))
            name = path.relative_to(root).as_posix()
            tree.findings |= {
                Finding(track_id, task, kind, count, name) for kind, count in counted(task, rows, damage).items()
            }
    _write(root / layout.root / "readme.txt", b"Sales of labels are not allowed.\n")
    _write(root / layout.root / ".DS_Store", b"\0\1")
    _write(root / "__MACOSX" / layout.tasks[Task.VA] / layout.splits[Split.TRAIN] / "._107.txt", b"\0\5\x16\7")
    return tree


_VA = r"expected valence or arousal in \[-1, 1\], or -5 for missing, found "
_EXPRESSION = "expected an expression from 0 to [67], or -1 for missing, found "
_UNIT = "expected an action unit, 0 or 1, or -1 for missing, found "
REFUSED: Mapping[str, tuple[Task, bytes, str]] = {
    "range": (Task.VA, b"valence,arousal\n0,0\n1.3,0\n", rf"line 3: {_VA}'1\.3'"),
    "nan": (Task.VA, b"valence,arousal\nNaN,0\n", f"line 2: {_VA}'NaN'"),
    "infinite": (Task.VA, b"valence,arousal\n0,-inf\n", f"line 2: {_VA}'-inf'"),
    "text": (Task.VA, b"valence,arousal\n0,x\n", f"line 2: {_VA}'x'"),
    "digits": (Task.VA, b"valence,arousal\n0,0_1\n", f"line 2: {_VA}'0_1'"),
    "short": (Task.VA, b"valence,arousal\n0,0\n0\n", "line 3: expected 2 values, found '0'"),
    "hole": (Task.VA, b"valence,arousal\n0,0\n0,\n", f"line 3: {_VA}''"),
    "long": (Task.VA, b"valence,arousal\n0,0,0\n", "line 2: expected 2 values, found '0,0,0'"),
    "blank": (Task.VA, b"valence,arousal\r\n0,0\r\n\r\n0,0\r\n", "line 3: expected 2 values, found ''"),
    "empty": (Task.VA, b"", "line 1: expected the header 'valence,arousal', the file is empty; copy it again"),
    "blanks": (Task.VA, b"\n\n", "line 1: expected the header 'valence,arousal', the file is empty"),
    "late": (Task.VA, b"\nvalence,arousal\n0,0\n", "line 1: expected the header 'valence,arousal', found a blank line"),
    "headless": (
        Task.VA,
        b"0.1,0.2\n0,0\n",
        r"line 1: expected the header 'valence,arousal', found the row '0\.1,0\.2'",
    ),
    "only": (Task.VA, b"valence,arousal\n", "line 2: expected a row per frame, found none"),
    "names": (Task.VA, b"arousal,valence\n0,0\n", "line 1: expected the header 'valence,arousal' of edition"),
    "class": (Task.EXPR, b"9\n", f"line 2: {_EXPRESSION}'9'"),
    "half": (Task.EXPR, b"0\n0.5\n", rf"line 3: {_EXPRESSION}'0\.5'"),
    "lone": (Task.EXPR, b"0\n\n0\n", f"line 3: {_EXPRESSION}''"),
    "unit": (Task.AU, b"0.5", rf"line 2: {_UNIT}'0\.5'"),
}
"""Damage that is refused: the file, and what must be said. Of EXPR and AU only the rows, since headers differ."""


def refused_tree(root: Path, layout: Layout) -> Hostile:
    """A tree with one file for each entry of `REFUSED`, and good ones for the edition to be told."""
    tree = Hostile(root, layout.edition)
    for name, (task, content, _) in REFUSED.items():
        if task is Task.EXPR:
            content = render(task, layout.edition, [], set()) + content
        if task is Task.AU:
            content = render(task, layout.edition, [[content.decode()] * num_values(task, layout.edition)], set())
        _touch(root / "videos" / f"{name}.mp4")
        _write(root / layout.root / layout.tasks[task] / layout.splits[Split.TRAIN] / f"{name}.txt", content)
    return tree


def mtl_tree(root: Path, names: tuple[str, str], *, conflict: bool = False) -> Hostile:
    """Multi-task files out of order, with repeated rows, damage and, if so wished, contradictions."""
    tree = Hostile(root, Edition.ABAW_2022)
    tracks = {names[0]: ("10-60-1280x720", "10-60-1280x720_right", "video45_1"), names[1]: ("video5_left", "107")}
    for name, track_ids in tracks.items():
        damage = frozenset({Kind.BYTE_ORDER_MARK, Kind.OTHER_LINE_ENDS} if name == names[1] else ())
        rows = []
        for shift, track_id in enumerate(track_ids):
            _touch(root / "videos" / f"{track_id.removesuffix('_left').removesuffix('_right')}.mp4")
            for index in range(0, 40, 2 + shift):  # only some frames have a row
                values = {task: example_rows(task, tree.edition, index + 1)[index] for task in Task}
                rows.append([f"{track_id}/{index + 1:05d}.jpg", *_mtl_cells(values)])
                for task in Task:
                    tree.labels.setdefault((track_id, task), {})[index] = values[task]
            rows += rows[-2:]
            tree.findings.add(Finding(track_id, None, Kind.REPEATED_ROWS, 2, name))
        if conflict:
            rows.append([rows[0][0], *_mtl_cells({task: (None,) * num_values(task, tree.edition) for task in Task})])
            for task in Task:
                del tree.labels[track_ids[0], task][0]
            tree.findings.add(Finding(track_ids[0], None, Kind.CONTRADICTORY_ROWS, 2, name))
        rows.sort(key=lambda row: row[0][::-1])  # frames of all tracks in between each other
        _write(root / name, render("mtl", tree.edition, rows, damage))
        tree.findings |= {Finding(None, None, kind, 1, name) for kind in damage}
    return tree


def _mtl_cells(values: Mapping[Task, Row]) -> list[str]:
    return [cell for task in Task for cell in cells(task, values[task])]


def _touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
