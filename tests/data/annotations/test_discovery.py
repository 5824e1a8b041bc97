from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from support.hostile import LAYOUTS, MTL_GENERATIONS, PAIRS, Layout, harmless_tree, mtl_tree
from support.trees import MakeTree

from data.annotations.discovery import discover
from data.annotations.editions import folder_editions
from data.annotations.listing import VIDEO_SUFFIXES, video_of
from data.annotations.videos import content_hash, find_videos
from data.labels import Edition, Split, Task

ROOT = Path(__file__).parents[3]
AU_ROW = "1,0,0,0,1,0,0,1"


def test_videos_and_annotations_are_found_by_their_names(make_tree: MakeTree) -> None:
    root = make_tree({"VA_Set/Training_Set/107": ["0,0"], "AU_Set/Validation_Set/video59_right": [AU_ROW]})
    tree = discover(root)
    assert list(tree.videos) == ["107", "video59"]
    assert [(file.track_id, file.task, file.split) for file in tree.annotations] == [
        ("video59_right", Task.AU, Split.VALIDATION),
        ("107", Task.VA, Split.TRAIN),
    ]
    assert tree.edition is Edition.ABAW_2020
    assert tree.tracks("video59") == ["video59_right"]


@pytest.mark.parametrize(
    "folder", ["VA_Set/Training_Set", "va set/TRAIN_SET", "VA_Estimation_Challenge/Train_Set", "1 VA-Set/Training Set"]
)
def test_folders_are_found_with_any_case_and_spaces(tmp_path: Path, folder: str) -> None:
    (tmp_path / "107.mp4").touch()
    path = tmp_path / "5th_ABAW_Annotations" / folder / "107.txt"
    path.parent.mkdir(parents=True)
    path.write_text("valence,arousal\n0,0\n")
    (file,) = discover(tmp_path, Edition.ABAW_2022).annotations
    assert (file.task, file.split) == (Task.VA, Split.TRAIN)


@pytest.mark.parametrize(
    ("track_id", "video_id"),
    [("video59_right", "video59"), ("video10_1_left", "video10_1"), ("video45_1", "video45_1"), ("a_left", "a_left")],
)
def test_only_a_last_left_or_right_is_a_person(track_id: str, video_id: str) -> None:
    assert video_of(track_id, {"video59": Path(), "a_left": Path()}) == video_id


def test_a_root_without_videos_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no videos in this folder or below"):
        discover(tmp_path)
    with pytest.raises(ValueError, match="no such file or folder"):
        find_videos([tmp_path / "nowhere"])


def test_two_videos_of_one_name_are_refused(tmp_path: Path) -> None:
    for name in ("a/107.mp4", "b/107.avi", "c/107.mp4"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(name[0].replace("c", "a").encode())
    message = rf"found 3 videos named 107 with different content: {tmp_path}/a/107\.mp4, {tmp_path}/b/107\.avi; remove"
    with pytest.raises(ValueError, match=message):
        find_videos([tmp_path])


def test_a_video_in_several_folders_is_one_video(tmp_path: Path) -> None:
    for name in ("a/107.mp4", "b/107.mp4", "c/108.mp4"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(b"frames")
    (tmp_path / "a" / "link.mp4").symlink_to(tmp_path / "c" / "108.mp4")
    hashed: list[Path] = []

    def hash_of(path: Path) -> str:
        hashed.append(path)
        return content_hash(path)

    found = find_videos([tmp_path], hash_of)
    first, copy = tmp_path / "a" / "107.mp4", tmp_path / "b" / "107.mp4"
    assert found.files == {"107": first, "108": tmp_path / "c" / "108.mp4", "link": tmp_path / "a" / "link.mp4"}
    assert found.copies == {"107": (copy,)}
    assert hashed == [first, copy]
    copy.write_bytes(b"others")
    with pytest.raises(ValueError, match="found 2 videos named 107 with different content"):
        find_videos([tmp_path])
    hashed.clear()
    copy.write_bytes(b"longer than the first")
    with pytest.raises(ValueError, match="found 2 videos named 107 with different content"):
        find_videos([tmp_path], hash_of)
    assert hashed == [], "their sizes differ"


def test_videos_are_found_by_file_and_folder_with_any_ending_of_any_case(tmp_path: Path) -> None:
    (tmp_path / "folder" / "deep").mkdir(parents=True)
    endings = ("mp4", "MOV", "mkv", "WebM", "avi", "ts", "wmv", "MPG", "3gp", "flv")
    for number, ending in enumerate(endings):
        (tmp_path / "folder" / "deep" / f"{number}.{ending}").touch()
    alone = tmp_path / "alone.unusual"
    alone.touch()
    found = find_videos([alone, tmp_path / "folder", tmp_path / "folder" / "deep" / "0.mp4"])
    assert set(found.files) == {"alone", *map(str, range(len(endings)))}
    assert found.copies == {}, "a file that is given twice is no copy"


def test_the_endings_are_those_of_the_documented_containers() -> None:
    said = re.search(r"\nin ([^.]+)\.\s+If a\s+file", (ROOT / "docs" / "videos.md").read_text())
    assert said is not None
    assert {f".{ending}" for ending in re.findall(r"\w+", said[1])} == set(VIDEO_SUFFIXES)


def test_a_root_without_annotations_is_refused(make_tree: MakeTree) -> None:
    with pytest.raises(ValueError, match="no annotation files"):
        discover(make_tree({}))


def test_an_annotation_without_its_video_is_refused(make_tree: MakeTree) -> None:
    with pytest.raises(ValueError, match=r"999\.txt: no video for this annotation under"):
        discover(make_tree({"VA_Set/Training_Set/999": ["0,0"]}))


def test_an_edition_that_cannot_be_recognised_is_asked_for(make_tree: MakeTree) -> None:
    root = make_tree({"VA_Set/Training_Set/107": ["0,0"]})
    with pytest.raises(ValueError, match=r"cannot recognise the edition.*107\.txt\): 2020, 2021, 2022$"):
        discover(root)
    assert discover(root, Edition.ABAW_2021).edition is Edition.ABAW_2021


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.root)
def test_the_edition_is_recognised_and_says_by_what(tmp_path: Path, layout: Layout) -> None:
    harmless_tree(tmp_path, layout)
    tree = discover(tmp_path)
    assert tree.edition is layout.edition
    assert all(layout.edition in evidence.fits for evidence in tree.evidence)
    shown = "\n".join(map(str, tree.evidence))
    assert "VA header with 2 names (" in shown
    assert f"such as {layout.root}/" in shown
    assert (f"folder '{layout.root}'" in shown) == (layout.root != "annotations")


@pytest.mark.parametrize(
    ("folder", "edition"),
    [
        ("Third ABAW Annotations", "2022"),
        ("5th_ABAW_Annotations", "2022"),
        ("6th ABAW annotations", "2022"),
        ("10th-ABAW", "2022"),
        ("ABAW8 annotations", "2022"),
        ("second abaw", "2021"),
        ("ABAW 2021", "2021"),
        ("ABAW2020", "2020"),
        ("1st ABAW", "2020"),
        ("CVPR_2022_6th_ABAW", "2022"),
    ],
)
def test_valence_alone_is_recognised_by_its_folder(make_tree: MakeTree, folder: str, edition: str) -> None:
    root = make_tree({"VA_Set/Training_Set/107": ["0,0"]})
    (root / "annotations").rename(root / folder)
    assert discover(root).edition == edition
    (root / folder / "VA_Set").rename(root / "VA_Set")
    (root / folder).rename(root / "more")
    (root / "more" / folder / "texts").mkdir(parents=True)
    (root / "VA_Set").rename(root / "more" / folder / "texts" / "VA_Set")
    assert discover(root).edition == edition
    shutil.move(root / "more" / folder / "texts", root / folder)
    shutil.rmtree(root / "more")
    renamed = root.rename(root.with_name(folder))
    (renamed / folder).rename(renamed / "annotations")
    assert discover(renamed).edition == edition


def test_the_root_and_the_folder_of_a_file_can_be_called_after_a_challenge(tmp_path: Path) -> None:
    root = tmp_path / "ABAW2"
    found = folder_editions(root, root / "labels" / "ABAW3" / "ABAW1.txt")
    assert found == {"ABAW2": (Edition.ABAW_2021,), "ABAW3": (Edition.ABAW_2022,)}


def test_a_mixed_tree_is_refused_with_all_that_was_seen(make_tree: MakeTree) -> None:
    root = make_tree({"AU_Set/Training_Set/107": [AU_ROW], "VA_Set/Training_Set/107": ["0,0"]})
    (root / "annotations").rename(root / "Third ABAW Annotations")
    message = (
        r"cannot recognise the edition: the files fit no edition; set ingest\.edition.* Found: "
        r"AU header with 8 names \(1 file, such as Third ABAW Annotations/AU_Set/Training_Set/107\.txt\): 2020; .*"
        r"folder 'Third ABAW Annotations' \(2 files, such as Third ABAW Annotations/AU_Set/.*\): 2022"
    )
    with pytest.raises(ValueError, match=message):
        discover(root)
    assert discover(root, Edition.ABAW_2020).edition is Edition.ABAW_2020


def test_of_releases_side_by_side_the_edition_asked_for_is_taken(make_tree: MakeTree) -> None:
    root = make_tree({"VA_Set/Training_Set/107": ["0,0"]})
    old = (root / "annotations").rename(root / "2nd ABAW annotations")
    shutil.copytree(old, root / "Third ABAW Annotations")
    with pytest.raises(
        ValueError, match=r"track 107 has two files for va: .*2nd ABAW .* and .*Third ABAW .*; remove one"
    ):
        discover(root)
    tree = discover(root, Edition.ABAW_2022)
    assert [file.path.relative_to(root).parts[0] for file in tree.annotations] == ["Third ABAW Annotations"]
    assert tree.unused == (old / "VA_Set" / "Training_Set" / "107.txt",)
    assert discover(root, Edition.ABAW_2021).annotations[0].path == tree.unused[0]


def test_unknown_headers_tell_no_edition(make_tree: MakeTree) -> None:
    root = make_tree({"VA_Set/Training_Set/107": []})
    (root / "annotations" / "VA_Set" / "Training_Set" / "107.txt").write_text("happy,sad\n1,0\n")
    with pytest.raises(ValueError, match=r"fit no edition.*VA header 'happy,sad' \(1 file, .*\): no edition"):
        discover(root)


@pytest.mark.parametrize("layout", LAYOUTS[:1], ids=lambda layout: layout.root)
def test_the_sixteen_videos_with_two_people_have_two_tracks(tmp_path: Path, layout: Layout) -> None:
    harmless_tree(tmp_path, layout)
    tree = discover(tmp_path)
    assert len(PAIRS) == 16
    assert {video_id: tree.tracks(video_id) for video_id in PAIRS} == {
        video_id: sorted(video_id + suffix for suffix in suffixes) for video_id, suffixes in PAIRS.items()
    }
    assert tree.tracks("video45_1") == ["video45_1"]


@pytest.mark.parametrize("names", MTL_GENERATIONS)
def test_multi_task_files_are_found_by_their_names(tmp_path: Path, names: tuple[str, str]) -> None:
    mtl_tree(tmp_path, names)
    tree = discover(tmp_path)
    assert tree.edition is Edition.ABAW_2022
    assert [(file.path.name, file.split) for file in tree.mtl] == [
        (names[0], Split.TRAIN),
        (names[1], Split.VALIDATION),
    ]
    assert tree.tracks("10-60-1280x720") == ["10-60-1280x720", "10-60-1280x720_right"]
    assert {tree.splits["video5_left", task] for task in Task} == {Split.VALIDATION}


def test_multi_task_files_of_another_name_are_found_by_their_header(tmp_path: Path) -> None:
    mtl_tree(tmp_path, ("my_train_list.txt", "valid_list.txt"))
    assert [file.split for file in discover(tmp_path).mtl] == [Split.TRAIN, Split.VALIDATION]


def test_of_both_kinds_of_annotations_one_is_chosen(tmp_path: Path) -> None:
    mtl_tree(tmp_path, MTL_GENERATIONS[0])
    path = tmp_path / "5th ABAW" / "VA_Set" / "Train_Set" / "video5.txt"
    path.parent.mkdir(parents=True)
    path.write_text("valence,arousal\n0,0\n")
    message = (
        r'annotations per task \(1 files, such as .*video5\.txt\) and multi-task files \(.*ingest\.annotations = "per'
    )
    with pytest.raises(ValueError, match=message):
        discover(tmp_path)
    tree = discover(tmp_path, annotations="mtl")
    assert (tree.annotations, len(tree.mtl), tree.unused) == ((), 2, (path,))
    tree = discover(tmp_path, annotations="per_task")
    assert (len(tree.annotations), tree.mtl, len(tree.unused)) == (1, (), 2)


def test_all_labels_without_a_video_or_from_two_places_are_reported_together(make_tree: MakeTree) -> None:
    files = {f"VA_Set/Training_Set/{name}": ["0,0"] for name in (*range(900, 930), "107")}
    with pytest.raises(ValueError, match=r"root: 31 problems\n") as raised:
        discover(make_tree({**files, "VA_Set/Train_Set/107": ["0,0"]}))
    lines = str(raised.value).splitlines()
    assert len(lines) == 22
    assert "900.txt: no video for this annotation under" in lines[1]
    assert lines[-1] == "  ... and 11 more"


def test_a_track_annotated_twice_for_a_task_is_refused(make_tree: MakeTree) -> None:
    root = make_tree({"EXPR_Set/Training_Set/107": ["4"], "EXPR_Set/Validation_Set/107": ["4"]})
    with pytest.raises(ValueError, match=r"track 107 has two files for expr: .*; remove one"):
        discover(root, Edition.ABAW_2020)


def test_annotations_in_the_wrong_place_are_listed(make_tree: MakeTree) -> None:
    root = make_tree({"AU_Set/Training_Set/107": [AU_ROW], "VA_Set/old/107": ["0,0"]})
    (root / "notes.txt").write_text("to do\n")
    assert discover(root).unused == (root / "annotations" / "VA_Set" / "old" / "107.txt",)


def test_links_to_folders_are_followed_once(make_tree: MakeTree, tmp_path: Path) -> None:
    root = make_tree({"AU_Set/Training_Set/107": [AU_ROW]})
    other = tmp_path / "elsewhere"
    (root / "videos").rename(other)
    (root / "videos").symlink_to(other)
    (other / "round").symlink_to(root)
    assert list(discover(root).videos) == ["107", "video59"]


TEST_LISTS = {
    "va_test_set.txt": "names of videos\n107\nvideo59_right\n999\n",
    "expression_test_set.txt": "ABAW 2020 test set\r\n107\r\n",
    "Action_Unit_Detection_Challenge_test_set_release.txt": "999-30-640x360,\n107,\n\n",
    "CVPR_6th_ABAW_VA_test_set_sample.txt": "image_location,valence,arousal\n107/00001.jpg,0,0\n",
}


def test_lists_of_test_tracks_are_read_with_and_without_a_header(make_tree: MakeTree) -> None:
    root = make_tree({"EXPR_Set/Training_Set/video59": ["4"]})
    for name, text in TEST_LISTS.items():
        (root / name).write_bytes(text.encode())
    tree = discover(root, Edition.ABAW_2020)
    assert [(tests.path.name[:2], tests.tasks, tests.track_ids, tests.num_without_video) for tests in tree.tests] == [
        ("Ac", (Task.AU,), ("107",), 1),
        ("ex", (Task.EXPR,), ("107",), 0),
        ("va", (Task.VA,), ("107", "video59_right"), 1),
    ]
    assert tree.tracks("107") == ["107"]
    assert tree.tracks("video59") == ["video59", "video59_right"]
    assert tree.splits["video59_right", Task.VA] is Split.TEST


def test_lists_of_multi_task_challenges_count_with_multi_task_files(tmp_path: Path) -> None:
    mtl_tree(tmp_path, MTL_GENERATIONS[1])
    (tmp_path / "videos" / "video2.mp4").touch()
    (tmp_path / "MTL_Challenge_test_set_release.txt").write_text(
        "image\nvideo2_left/00001.jpg,\nvideo2_left/00002.jpg,\n"
    )
    (tmp_path / "va_test_set.txt").write_text("header\n107\n")
    tree = discover(tmp_path)
    (tests,) = tree.tests
    assert (tests.tasks, tests.track_ids) == (tuple(Task), ("video2_left",))


def test_a_track_with_labels_is_no_test_track(make_tree: MakeTree) -> None:
    root = make_tree({"VA_Set/Training_Set/107": ["0,0"]})
    (root / "va_test_set.txt").write_text("header\n107\n")
    with pytest.raises(
        ValueError, match=r"track 107 has two files for va: .*107\.txt and .*va_test_set\.txt; remove one"
    ):
        discover(root)
