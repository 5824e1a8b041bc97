from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.little_store import label, write_labels

from data.annotations.listing import video_of
from data.annotations.splits import (
    Leak,
    Overlap,
    Splits,
    SplitSettings,
    choose_splits,
    find_leaks,
    groups_of,
    guarded,
    overlap,
    recording_of,
    subject_disjoint,
    training_videos,
)
from data.labels import Split, Task
from data.store.shards import MANIFEST

TRAIN, VALIDATION, TEST, HELD_OUT = Split.TRAIN, Split.VALIDATION, Split.TEST, Split.HELD_OUT


def videos_of(splits: Mapping[tuple[str, Task], Split]) -> dict[str, str]:
    return {track_id: video_of(track_id, {}) for track_id, _ in splits}


def test_the_guard_holds_out_for_all_tasks_what_one_task_holds_out() -> None:
    official = {
        ("107", Task.VA): TRAIN,
        ("107", Task.EXPR): VALIDATION,
        ("video59", Task.VA): TRAIN,
        ("video59_right", Task.VA): VALIDATION,
        ("108", Task.AU): TRAIN,
        ("108", Task.VA): TEST,
        ("109", Task.AU): TRAIN,
    }
    assert guarded(official, videos_of(official)) == {
        ("107", Task.VA): HELD_OUT,
        ("107", Task.EXPR): VALIDATION,
        ("video59", Task.VA): HELD_OUT,
        ("video59_right", Task.VA): VALIDATION,
        ("108", Task.AU): HELD_OUT,
        ("108", Task.VA): TEST,
        ("109", Task.AU): TRAIN,
    }


def test_the_overlap_table_counts_the_videos_of_each_pair() -> None:
    official: Splits = {}
    for number, (va, expr) in enumerate(
        [(TRAIN, VALIDATION)] * 3 + [(VALIDATION, TRAIN)] * 2 + [(TEST, TRAIN)] + [(TRAIN, TRAIN)] * 4
    ):
        official |= {(f"video{number}", Task.VA): va, (f"video{number}", Task.EXPR): expr}
    rows = overlap(official, videos_of(official))
    assert rows == [
        Overlap(Task.VA, TRAIN, Task.EXPR, TRAIN, 4),
        Overlap(Task.VA, TRAIN, Task.EXPR, VALIDATION, 3),
        Overlap(Task.VA, VALIDATION, Task.EXPR, TRAIN, 2),
        Overlap(Task.VA, TEST, Task.EXPR, TRAIN, 1),
    ]
    assert [row.is_leak for row in rows] == [False, True, True, True]
    assert str(rows[1]) == "3 videos: va train, expr validation"


def test_two_people_of_a_video_on_two_sides_are_a_leak_within_a_task() -> None:
    official = {("video59", Task.VA): TRAIN, ("video59_right", Task.VA): VALIDATION}
    (row,) = overlap(official, videos_of(official))
    assert row == Overlap(Task.VA, TRAIN, Task.VA, VALIDATION, 1)
    assert row.is_leak


@pytest.mark.parametrize(
    ("video_id", "recording"),
    [
        ("video45_1", "video45"),
        ("video45_7", "video45"),
        ("video45", "video45"),
        ("122-60-1920x1080-1", "122-60-1920x1080"),
        ("122-60-1920x1080", "122-60-1920x1080"),
        ("107", "107"),
        ("10-60-1280x720", "10-60-1280x720"),
    ],
)
def test_parts_of_a_recording_belong_together(video_id: str, recording: str) -> None:
    assert recording_of(video_id) == recording


def test_videos_of_one_recording_or_one_person_are_one_group() -> None:
    subjects = {"1": ["a"], "2": ["b"], "3": ["b", "c"], "4": ["c"], "video5_1": [], "video5_2": ["d"], "6": []}
    groups = groups_of(subjects)
    assert groups == {"1": "1", "2": "2", "3": "2", "4": "2", "video5_1": "video5", "video5_2": "video5", "6": "6"}
    assert groups_of({}) == {}


def test_drawn_splits_have_each_group_on_one_side() -> None:
    official: Splits = {(str(number), Task.VA): TRAIN for number in range(40)}
    groups = {str(number): f"group{number // 4}" for number in range(40)}
    splits = choose_splits(official, videos_of(official), SplitSettings(splits="subject_disjoint"), groups)
    sides = {(groups[track_id], split) for (track_id, _), split in splits.items()}
    assert len(sides) == 10
    assert sum(split is VALIDATION for _, split in sides) == 2


tracks = st.sampled_from(
    [f"{video}{suffix}" for video in ("1", "2", "video3", "video4_1", "video4_2") for suffix in ("", "_left", "_right")]
)
official_splits = st.dictionaries(
    st.tuples(tracks, st.sampled_from(Task)), st.sampled_from([TRAIN, VALIDATION, TEST]), min_size=1
)


@given(official_splits)
def test_guarded_splits_never_train_on_what_is_held_out(official: Splits) -> None:
    video_ids = videos_of(official)
    splits = choose_splits(official, video_ids, SplitSettings())
    assert not any(row.is_leak for row in overlap(splits, video_ids))
    assert {key: split for key, split in splits.items() if official[key] is not TRAIN} == {
        key: split for key, split in official.items() if split is not TRAIN
    }


@given(official_splits, st.integers(0, 99), st.floats(0.01, 0.99))
def test_drawn_splits_have_each_recording_on_one_side(official: Splits, seed: int, share: float) -> None:
    video_ids = videos_of(official)
    free = {recording_of(video) for video in video_ids.values()} - {
        recording_of(video_ids[track_id]) for (track_id, _), split in official.items() if split is TEST
    }
    if len(free) < 2:
        with pytest.raises(ValueError, match=f"at least two recordings, found {len(free)}; use another split"):
            subject_disjoint(official, video_ids, seed=seed, validation_share=share)
        return
    splits = choose_splits(
        official, video_ids, SplitSettings(splits="subject_disjoint", split_seed=seed, validation_share=share)
    )
    sides: dict[str, set[Split]] = {}
    for (track_id, _), split in splits.items():
        sides.setdefault(recording_of(video_ids[track_id]), set()).add(split)
    assert all(len(sides[recording]) == 1 for recording in free)
    assert {split for recording in free for split in sides[recording]} == {TRAIN, VALIDATION}
    assert all(sides[recording] <= {TEST, HELD_OUT} for recording in sides.keys() - free)
    assert {key for key, split in splits.items() if split is TEST} == {
        key for key, split in official.items() if split is TEST
    }


def test_a_drawn_split_has_the_share_asked_for_in_every_combination_of_tasks() -> None:
    combinations = {(Task.VA,): 50, (Task.VA, Task.EXPR): 30, (Task.AU,): 20}
    official = {
        (f"{'-'.join(tasks)}{number}", task): TRAIN
        for tasks, count in combinations.items()
        for number in range(count)
        for task in tasks
    }
    splits = subject_disjoint(official, videos_of(official), seed=3, validation_share=0.2)
    for tasks, count in combinations.items():
        held = [f"{'-'.join(tasks)}{number}" for number in range(count)]
        validate = [name for name in held if splits[name, tasks[0]] is VALIDATION]
        assert abs(len(validate) - count / 5) <= 1
    other = subject_disjoint(official, videos_of(official), seed=4, validation_share=0.2)
    assert other != splits
    assert splits == subject_disjoint(
        dict(reversed(official.items())), videos_of(official), seed=3, validation_share=0.2
    )


def test_which_recordings_a_seed_draws_is_frozen() -> None:
    """Another draw would move the people of every data set with these splits from one side to the other."""
    official = {(str(number), task): TRAIN for number in range(12) for task in (Task.VA, Task.AU)[: 1 + number % 2]}

    def drawn(names: range, seed: int, share: float) -> list[int]:
        of_these = {key: split for key, split in official.items() if int(key[0]) in names}
        settings = SplitSettings(splits="subject_disjoint", split_seed=seed, validation_share=share)
        splits = choose_splits(of_these, videos_of(of_these), settings)
        return sorted({int(track_id) for (track_id, _), split in splits.items() if split is VALIDATION})

    assert drawn(range(12), 0, 0.25) == [0, 5, 6]
    assert drawn(range(12), 3, 0.25) == [1, 4, 8]
    assert drawn(range(12), 4, 0.25) == [0, 4, 9]
    assert drawn(range(4), 0, 0.01) == [2]
    assert drawn(range(4), 1, 0.01) == [1]
    assert drawn(range(4), 0, 0.99) == [0, 1, 2]
    assert drawn(range(4), 1, 0.99) == [0, 1, 3]


def test_a_share_between_two_numbers_is_rounded_up_or_down_by_the_seed() -> None:
    official = {(str(number), Task.VA): TRAIN for number in range(10)}
    numbers = {
        list(subject_disjoint(official, videos_of(official), seed=seed, validation_share=0.25).values()).count(
            VALIDATION
        )
        for seed in range(20)
    }
    assert numbers == {2, 3}


def labels_of(folder: Path, *rows: tuple[str, Mapping[Task, Split]], **facts: object) -> Path:
    """A labels shard with the splits of some videos, a row for each."""
    splits = [(video, {str(task): str(split) for task, split in of.items()}) for video, of in rows]
    write_labels(folder / "labels.parquet", [label(video, 0, split=of) for video, of in splits])
    (folder / MANIFEST).write_text(json.dumps({"split_of": {}, **facts}))
    return folder


TWO_PARTS = (("video3_1", {Task.VA: TRAIN}), ("video3_2", {Task.VA: VALIDATION}))
ONE_SUBJECT = (("4", {Task.AU: TRAIN}), ("5", {Task.VA: VALIDATION}))


def test_a_video_leaks_if_one_row_trains_and_another_is_held_out(tmp_path: Path) -> None:
    rows = [("2", {Task.VA: TRAIN, Task.AU: HELD_OUT}), *TWO_PARTS, *ONE_SUBJECT]
    leaking = [("1", {Task.VA: TRAIN}), ("1", {Task.EXPR: VALIDATION})]
    facts = {"splits": {"rule": "guarded"}, "groups": {"4": "4", "5": "4"}}
    assert find_leaks(labels_of(tmp_path, *rows, **facts), {}) == []
    assert find_leaks(labels_of(tmp_path, *rows, *leaking, **facts), {}) == [Leak("1", Task.VA, Task.EXPR, VALIDATION)]


def test_in_drawn_splits_a_recording_or_a_group_leaks(tmp_path: Path) -> None:
    drawn = {"splits": {"rule": "subject_disjoint"}}
    in_parts = Leak("video3", Task.VA, Task.VA, VALIDATION)
    assert find_leaks(labels_of(tmp_path, *TWO_PARTS, *ONE_SUBJECT, **drawn), {}) == [in_parts]
    labels = labels_of(tmp_path, *TWO_PARTS, *ONE_SUBJECT, **drawn, groups={"4": "4", "5": "4"})
    assert find_leaks(labels, {}) == [Leak("4", Task.AU, Task.VA, VALIDATION), in_parts]


def test_a_video_of_a_test_list_leaks_if_it_trains_with_or_without_faces(tmp_path: Path) -> None:
    listed = {"1_left": {"va": {"used": "test"}}, "2": {"va": {"used": "test"}}, "3": {"va": {"used": "train"}}}
    rows = [(video, {Task.AU: TRAIN}) for video in ("1", "2", "3")]
    labels = labels_of(tmp_path, *rows, splits={"rule": "guarded"}, split_of=listed)
    found = find_leaks(labels, {"1_left": "1", "3": "3"})
    assert found == [Leak(video, Task.AU, Task.VA, TEST) for video in ("1", "2")]


def test_a_video_trains_if_any_task_trains_on_any_of_its_rows(tmp_path: Path) -> None:
    labels = labels_of(
        tmp_path,
        ("1", {Task.VA: TRAIN}),
        ("1", {Task.VA: VALIDATION}),
        ("2", {Task.EXPR: VALIDATION}),
        ("3", {Task.AU: HELD_OUT}),
        ("4", {Task.AU: TRAIN, Task.VA: VALIDATION}),
    )
    assert training_videos(labels) == {"1", "4"}
