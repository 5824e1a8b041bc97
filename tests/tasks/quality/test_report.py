"""The quality report: what is counted is what its queries list, and the page holds all of it."""

from __future__ import annotations

import base64
import re
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from support.hostile import LAYOUTS, MTL_GENERATIONS, harmless_tree, mtl_tree
from support.little_store import face, jpeg, label, write_labels, write_track
from support.trees import MakeTree

from data.annotations.alignment import write_labels as write_labels_of
from data.annotations.counts import BINS, count_labels
from data.annotations.discovery import AffWild2, discover
from data.annotations.findings import Kind
from data.annotations.splits import SplitSettings
from data.batches.face_samples import sample_faces
from data.labels import Edition, Task
from data.schema import DETECTIONS, FACES, Status
from data.store.catalogue import Dataset, FailedVideo, Video, read_catalogue, write_catalogue
from data.store.shards import write_folder, write_manifest, write_parquet
from data.warehouse.answers import query
from data.warehouse.quality_rows import VideoKind, kept_rows, quality_folder, quality_rows, video_rows
from data.warehouse.views import publish
from tasks.plots.figures import label_pictures, png
from tasks.quality import report as quality_report
from tasks.quality.page import (
    PageFacts,
    describe_choice,
    render,
    total_counts,
    totals,
    totals_markdown,
    track_columns,
    track_rows,
)
from tasks.quality.queries import MEANINGS, SECTIONS, WORTH_A_LOOK, Scope, command_of, is_listable, query_of
from tasks.quality.report import gather, report_on, report_path, write_report

pytestmark = pytest.mark.slow

STATUS = {".": Status.OK, "-": Status.NO_FACE, "i": Status.INTERPOLATED, "x": Status.DECODE_ERROR}
FACE = jpeg(face(80))
IRREGULAR_S = [0.0, 0.04, 0.08, 0.3, 0.34, None, 0.42, 0.46]
TRACKS = {"10-60-1280x720": "-..-.x.i-.", "10-60-1280x720_right": ".--....", "107": "........", "video59": "---"}


def faces_table(track_id: str, video_id: str, pattern: str, times_s: Mapping[str, list[Any]]) -> pa.Table:
    times = times_s.get(track_id) or [index / 25 for index in range(len(pattern))]
    rows = [
        {
            "track_id": track_id,
            "video_id": video_id,
            "frame_index": index,
            "time_s": times[index],
            "status": STATUS[letter].value,
            "face_jpeg": FACE if letter in ".i" else None,
        }
        for index, letter in enumerate(pattern)
    ]
    return pa.Table.from_pylist(rows, schema=FACES)


def make_data_set(
    tree: AffWild2,
    store: Path,
    patterns: Mapping[str, str] | None = None,
    *,
    name: str = "set-a",
    times_s: Mapping[str, list[Any]] | None = None,
    about: Mapping[str, Any] | None = None,
) -> Dataset:
    """A data set whose tracks are `patterns`: a letter a frame, `.` a face, `-` none, `i` interpolated, `x` damage."""
    labels = write_labels_of(tree, store, SplitSettings(), mtl_conflicts="drop")
    videos = []
    for number, video_id in enumerate(tree.videos):
        tracks = tree.tracks(video_id)
        with write_folder(store / "faces" / f"f{number}") as partial:
            for track_id in tracks:
                table = faces_table(track_id, video_id, (patterns or {}).get(track_id, "..-i.x.."), times_s or {})
                write_parquet(table, partial / f"{track_id}.parquet", rows_per_group=3)
            write_manifest(partial, {"video_id": video_id, "file": f"{video_id}.mp4", **(about or {})})
        videos.append(Video(video_id, f"{video_id}.mp4", f"f{number}", "ab", tuple(tracks)))
    dataset = Dataset(name, str(tree.root), tuple(videos), tree.edition, labels.name)
    write_catalogue(dataset, store)
    return dataset


def report_of(dataset: Dataset, store: Path) -> Path:
    return write_report(dataset, quality_rows(dataset, store), store)


def facts_of(dataset: Dataset, store: Path) -> PageFacts:
    return gather(dataset, quality_rows(dataset, store), store)


def without_video(dataset: Dataset, store: Path, video_id: str) -> Dataset:
    """The same, but this video failed."""
    (lost,) = (video for video in dataset.videos if video.video_id == video_id)
    failed = FailedVideo(video_id, lost.path, "expected a video, found 0 bytes; copy it again", lost.tracks)
    rest = tuple(video for video in dataset.videos if video is not lost)
    dataset = replace(dataset, videos=rest, failed=(failed,))
    write_catalogue(dataset, store)
    return dataset


@pytest.fixture
def odd(make_tree: MakeTree, tmp_path: Path) -> tuple[Dataset, Path]:
    """Four tracks with every kind of frame, time and length of labels; the store is at `tmp_path / "store"`."""
    au = "-1,0,0,0,1,0,0,1"
    root = make_tree(
        {
            "VA_Set/Training_Set/10-60-1280x720": ["0.1,0.2", "-5,-5", *["0.5,-0.5"] * 9],
            "VA_Set/Validation_Set/107": ["0,0"] * 5,
            "EXPR_Set/Training_Set/107": ["4", "-1", *["3"] * 9],
            "EXPR_Set/Training_Set/video59": ["4"] * 3,
            "AU_Set/Training_Set/10-60-1280x720_right": [au] * 6,
            "AU_Set/Training_Set/107": [*[au] * 8, "-1,-1,-1,-1,-1,-1,-1,-1"],
        },
        videos=("10-60-1280x720", "107", "video59"),
    )
    doubt = "107: person 2 has no track, but 80 % of the prominence of this track's person"
    about = {
        "damaged_packets": 2,
        "promised_frames": 12,
        "num_frames": 11,
        "detections": "found1",
        "doubts": [doubt, "107: another"],
        "doubt_faces": [
            [{"frame_index": 2, "x_px": 110.4, "y_px": 50}, {"frame_index": 2, "x_px": 300, "y_px": 60}],
            [],
        ],
        "choices": {"107": {"rule": "most_prominent", "prominence_margin": 0.2, "side_margin": None}},
    }
    times_s = {"107": IRREGULAR_S}
    with write_folder(tmp_path / "store" / "detections" / "found1") as partial:
        write_parquet(detections_table(), partial / "part-00000.parquet")
        write_manifest(partial, {})
    return make_data_set(discover(root), tmp_path / "store", TRACKS, times_s=times_s, about=about), tmp_path / "store"


def detections_table() -> pa.Table:
    """Nobody in frame 1, and two faces in frame 2."""
    nobody = dict.fromkeys(DETECTIONS.names)
    boxes = [dict(zip("xywh", (x, 30, 40, 40), strict=True)) for x in (90, 280)]
    faces = [{**nobody, "frame_index": 2, "status": "ok", "box": box, "face_jpeg": b"%d" % box["x"]} for box in boxes]
    return pa.Table.from_pylist([{**nobody, "frame_index": 1, "status": "no_face"}, *faces], schema=DETECTIONS)


def assert_queries_give_the_counts(dataset: Dataset, store: Path, *, is_crops: bool = False) -> set[str]:
    """Asks the query of each total; gives the kinds that were asked for."""
    counts = total_counts(quality_rows(dataset, store))
    publish(store)
    scope = Scope(dataset.name, dataset.edition, is_crops)
    for (task, kind), count in counts.items():
        answer = query(store, query_of(kind, Task(task) if task else None, scope))
        assert "track_id" in answer.column_names
        found = answer.num_rows if is_listable(kind) else sum(answer["count"].to_pylist())
        assert found == count, (kind, task)
    return {kind for _, kind in counts}


def test_each_query_lists_as_many_rows_as_were_counted(odd: tuple[Dataset, Path]) -> None:
    dataset, store = odd
    assert (
        total_counts(quality_rows(dataset, store)).items()
        >= {
            (None, Kind.FRAMES): 28,
            (None, Kind.GAPS): 4,
            (None, Kind.LONGEST_GAP_FRAMES): 2,
            (None, Kind.WRONG_RATE_IN_NAME): 2,
            (None, Kind.VARIABLE_RATE): 1,
            (None, VideoKind.DAMAGED_PACKETS): 6,
            ("expr", Kind.ROWS_BEYOND_VIDEO): 3,
            ("va", Kind.FRAMES_BEYOND_ROWS): 3,
        }.items()
    )
    kinds = assert_queries_give_the_counts(dataset, store)
    assert set(MEANINGS) - kinds == {*SECTIONS["Annotation files"], *SECTIONS["Videos"], Kind.ROWS_BEYOND_LAST_CROP}


@pytest.mark.parametrize("video_id", ["107", "10-60-1280x720"])
def test_labels_of_a_failed_video_are_counted_as_rows_without_a_video_and_as_nothing_else(
    odd: tuple[Dataset, Path], video_id: str
) -> None:
    dataset, store = without_video(*odd, video_id), odd[1]
    assert read_catalogue(store, dataset.name) == dataset
    of_tracks = {track_id for video in dataset.failed for track_id in video.tracks}
    rows = [row for row in quality_rows(dataset, store) if row["track_id"] in of_tracks]
    assert {row["kind"] for row in rows} <= {Kind.ROWS, Kind.LABELLED, Kind.MISSING_VALUES, "rows_without_video"}
    lost = {(row["task"], row["count"]) for row in rows if row["kind"] == "rows_without_video"}
    assert lost == {(row["task"], row["count"]) for row in rows if row["kind"] == Kind.ROWS}
    kinds = assert_queries_give_the_counts(dataset, store)
    assert kinds >= {VideoKind.FAILED_VIDEO, VideoKind.ROWS_WITHOUT_VIDEO}
    (video,) = query(store, "SELECT * FROM videos WHERE failure IS NOT NULL").to_pylist()
    assert (video["video_id"], set(video["tracks"]), video["faces"]) == (video_id, of_tracks, None)


def test_a_page_is_written_anew_when_a_video_failed_or_was_mended(odd: tuple[Dataset, Path]) -> None:
    dataset, store = odd
    without = without_video(dataset, store, "107")
    told = Page(report_of(without, store).read_text()).text
    assert "found 0 bytes; copy it again" in told
    other = replace(without.failed[0], reason="expected a video, found a pipe; move it away")
    assert "found a pipe" in Page(report_of(replace(without, failed=(other,)), store).read_text()).text
    assert "Videos that failed" not in Page(report_of(dataset, store).read_text()).text


@pytest.mark.parametrize("layout", LAYOUTS[::4])
def test_what_is_odd_about_files_is_listed_too(layout: Any, tmp_path: Path) -> None:
    tree = discover(harmless_tree(tmp_path / "root", layout).root)
    kinds = assert_queries_give_the_counts(make_data_set(tree, tmp_path / "store"), tmp_path / "store")
    assert {Kind.BYTE_ORDER_MARK, Kind.TRAILING_COMMAS, Kind.HEADER_SPELLING, Kind.LABEL_WITHOUT_FACE} <= kinds


def test_queries_hold_for_multi_task_files(tmp_path: Path) -> None:
    tree = discover(mtl_tree(tmp_path / "root", MTL_GENERATIONS[0], conflict=True).root)
    kinds = assert_queries_give_the_counts(make_data_set(tree, tmp_path / "store"), tmp_path / "store")
    assert {Kind.REPEATED_ROWS, Kind.CONTRADICTORY_ROWS, Kind.FACE_WITHOUT_LABEL} <= kinds
    assert Kind.FRAMES_BEYOND_ROWS not in kinds


def test_queries_hold_for_crops(make_tree: MakeTree, tmp_path: Path) -> None:
    tree = discover(make_tree({"VA_Set/Training_Set/107": ["0,0"] * 12, "AU_Set/Training_Set/107": ["0" + ",1" * 7]}))
    dataset = make_data_set(tree, tmp_path / "store", times_s={"107": [None] * 8}, about={"source": "crops"})
    assert facts_of(dataset, tmp_path / "store").scope.is_crops
    kinds = assert_queries_give_the_counts(dataset, tmp_path / "store", is_crops=True)
    assert {Kind.ROWS_BEYOND_LAST_CROP, Kind.LABEL_WITHOUT_FACE} <= kinds
    assert not {Kind.ONE_ROW_MORE, Kind.ROWS_BEYOND_VIDEO, Kind.FRAMES_WITHOUT_TIME} & kinds


def test_every_kind_has_a_meaning() -> None:
    assert set(MEANINGS) == {*Kind, *VideoKind}
    assert set(MEANINGS) >= WORTH_A_LOOK


def test_publishing_only_reads_findings(odd: tuple[Dataset, Path]) -> None:
    dataset, store = odd
    publish(store)
    assert query(store, "FROM quality").num_rows == 0
    rows = quality_rows(dataset, store)
    publish(store)
    answer = query(store, "SELECT * EXCLUDE (dataset) FROM quality WHERE dataset = 'set-a'").to_pylist()
    assert answer == [{name: row[name] for name in answer[0]} for row in rows]
    folder = quality_folder(store, [video.faces for video in dataset.videos], dataset.labels)
    written_ns = (folder / "manifest.json").stat().st_mtime_ns
    assert quality_rows(dataset, store) == rows
    assert (folder / "manifest.json").stat().st_mtime_ns == written_ns
    assert kept_rows(replace(dataset, labels=None), store) == []


def test_the_faces_of_the_people_that_a_doubt_names_stand_beside_it(odd: tuple[Dataset, Path]) -> None:
    dataset, store = odd
    ((doubt, faces),) = facts_of(dataset, store).doubt_faces.items()
    assert "person 2 has no track" in doubt
    assert [face.face_jpeg for face in faces] == [b"90", b"280"]
    html = report_on(store, None).read_text()
    assert html.count(base64.b64encode(b"90").decode()) == html.count(base64.b64encode(b"280").decode()) == 1
    shutil.rmtree(store / "detections")
    assert facts_of(dataset, store).doubt_faces == {doubt: []}


def test_a_doubt_is_of_its_track_and_damage_of_its_video() -> None:
    manifest = {
        "video_id": "video2",
        "files": {"video2.parquet": {}, "video2_left.parquet": {}},
        "doubts": ["video2_left: is it?", "video2: or this?", "who is it?"],
        "damaged_packets": 3,
        "promised_frames": 40,
        "num_frames": 36,
    }
    found = [(row["track_id"], row["kind"], row["count"], row["file"], row["note"]) for row in video_rows(manifest)]
    assert found == [
        ("video2_left", "doubtful_person", 1, None, "video2_left: is it?"),
        ("video2", "doubtful_person", 1, None, "video2: or this?"),
        (None, "doubtful_person", 1, None, "who is it?"),
        (None, "damaged_packets", 3, "video2", None),
        (None, "promised_frames_missing", 4, "video2", None),
    ]
    assert list(video_rows({"files": {}, "video_id": "video2", "promised_frames": 4, "num_frames": 5})) == []
    assert list(video_rows({"files": {}})) == []


class Page(HTMLParser):
    """The text of a page, what it loads, and where its links lead."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text, self.sources, self.links, self.ids, self.tags = "", list[str](), list[str](), set[str](), set[str]()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        of = {name: value or "" for name, value in attrs}
        self.tags.add(tag)
        self.ids |= {of["id"]} if "id" in of else set()
        self.sources += [of["src"]] if "src" in of else []
        self.links += [of["href"]] if "href" in of else []

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_has_each_total_and_track_and_needs_nothing_else(odd: tuple[Dataset, Path]) -> None:
    dataset, store = odd
    html = report_on(store, None).read_text()
    page = Page(html)
    facts = facts_of(dataset, store)
    for section, found in totals(facts).items():
        assert section in page.text
        for total in found:
            assert total.meaning in page.text
            assert all(command in page.text for _, command in total.commands)
            cells = re.search(rf'<tr id="{total.kind}">(.*?)</tr>', html, re.DOTALL)
            assert cells
            numbers = [int(number) if number else None for number in re.findall(r'<td class="n">(\d*)</td>', cells[1])]
            assert numbers[:4] == total.cells
    for track in track_rows(facts):
        row = re.search(rf">{track.track_id}</a></td>(.*?)</tr>", html, re.DOTALL)
        assert row
        assert [int(number) for number in re.findall(r">(\d+)</td>", row[1])] == track.cells
        assert f">{track.track_id}</h3>" in html
    assert "person 2 has no track, but 80 % of the prominence" in page.text
    assert "most prominent, prominence margin 0.20" in page.text
    assert "leak, unless guarded" in page.text
    assert not {"script", "link", "iframe"} & page.tags
    assert all(source.startswith(("data:image/png;base64,", "data:image/jpeg;base64,")) for source in page.sources)
    assert all(link.startswith("#") and link[1:] in page.ids for link in page.links)
    num_faces = sum(min(8, pattern.count(".")) for pattern in TRACKS.values())
    assert page.sources.count("data:image/jpeg;base64," + base64.b64encode(FACE).decode()) == num_faces


def test_the_page_of_a_made_sample_calls_it_synthetic(odd: tuple[Dataset, Path]) -> None:
    dataset, store = odd
    made = replace(dataset, root=str(store / "sample" / "0123456789abcdef"))
    assert facts_of(made, store).is_synthetic
    assert not facts_of(dataset, store).is_synthetic
    assert "<strong>synthetic</strong>" in render(facts_of(made, store))


def test_counts_stand_under_their_kind_and_task(odd: tuple[Dataset, Path]) -> None:
    dataset, store = odd
    facts = facts_of(dataset, store)
    names = [(kind, task) for kind, tasks in track_columns(facts.rows).items() for task in tasks]
    cells = {track.track_id: dict(zip(names, track.cells, strict=True)) for track in track_rows(facts)}
    assert cells["107"][Kind.ROWS, Task.VA] == 5
    assert cells["107"][Kind.ONE_ROW_MORE, Task.AU] == 1
    assert cells["107"][VideoKind.DOUBTFUL_PERSON, None] == 2
    assert cells["video59"][Kind.NO_FACE, None] == 3
    assert cells["video59"][Kind.ROWS, Task.VA] == 0


def test_odd_names_are_escaped_and_still_asked_for(make_tree: MakeTree, tmp_path: Path) -> None:
    tree = discover(make_tree({"VA_Set/Training_Set/107": ["0,0"] * 9, "AU_Set/Training_Set/107": ["0" + ",1" * 7]}))
    name, doubt = "it's <b>\"$HOME\" & {{ 'co' }}", "107: <script>alert(1)</script>"
    dataset = make_data_set(tree, tmp_path / "store", name=name, about={"doubts": [doubt]})
    html = report_on(tmp_path / "store", name).read_text()
    page = Page(html)
    assert "script" not in page.tags
    assert '<b>"' not in html
    assert name in page.text
    assert doubt in page.text
    assert_queries_give_the_counts(dataset, tmp_path / "store")


def test_a_command_is_one_argument_for_any_shell() -> None:
    for dataset in ("sample", "it's", 'a "$b`!\\'):
        asked = query_of(Kind.GAPS, None, Scope(dataset, None))
        command = command_of(asked)
        assert shlex.split(command) == ["mtanet", "sql", asked]
    assert command_of("SELECT 1") == 'mtanet sql "SELECT 1"'


def test_a_page_that_says_the_same_stays(odd: tuple[Dataset, Path], tmp_path: Path) -> None:
    dataset, store = odd
    path = report_of(dataset, store)
    assert path == report_path(dataset, store)
    written_ns = path.stat().st_mtime_ns
    assert report_of(dataset, store).stat().st_mtime_ns == written_ns
    other = report_on(store, "set-a", tmp_path / "elsewhere" / "page.html")
    assert other.read_text() == path.read_text()
    path.write_text("damaged")
    assert "<h2>Totals</h2>" in report_of(dataset, store).read_text()


def test_of_many_tracks_the_first_have_faces(odd: tuple[Dataset, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    dataset, store = odd
    monkeypatch.setattr(quality_report, "SHOWN_TRACKS", 1)
    page = Page(report_of(dataset, store).read_text())
    assert "3 more tracks are not shown." in page.text
    assert {"track-1", "track-2"} & page.ids == {"track-1"}
    assert page.links.count("#track-1") == 1


def test_an_unlabelled_data_set_has_a_page(odd: tuple[Dataset, Path]) -> None:
    dataset, store = odd
    unlabelled = Dataset("holiday", "videos", dataset.videos)
    page = Page(report_of(unlabelled, store).read_text())
    assert "holiday" in page.text
    assert "expr" not in page.text


def test_an_unknown_data_set_is_refused(odd: tuple[Dataset, Path], tmp_path: Path) -> None:
    dataset, store = odd
    with pytest.raises(ValueError, match=r"no data set 'nope' in .*: expected one of set-a"):
        report_on(store, "nope")
    with pytest.raises(ValueError, match=r"no data set in .* yet; create one with `mtanet ingest`"):
        report_on(tmp_path / "empty", None)
    write_catalogue(Dataset("set-b", "videos", ()), store)
    with pytest.raises(ValueError, match=r"several data sets: choose one with --dataset: set-a, set-b"):
        report_on(store, None)
    assert read_catalogue(store, dataset.name) == dataset


def test_the_artifact_has_the_totals_and_the_page(odd: tuple[Dataset, Path]) -> None:
    dataset, store = odd
    text = totals_markdown("set-a", store / "reports" / "set-a.html", quality_rows(dataset, store))
    assert str(store / "reports" / "set-a.html") in text
    assert "| frames | 28 |  |  |  | Frames of all tracks" in text
    assert "| **rows beyond video** |  |  | 3 |  | Rows after the last frame" in text


def test_samples_are_evenly_spaced_ok_faces(tmp_path: Path) -> None:
    crops = {index: jpeg(face(index)) for index in range(30)}
    missing = dict.fromkeys(range(10, 20), Status.NO_FACE) | {29: Status.INTERPOLATED}
    file = write_track(tmp_path, "107", 30, status=missing, crops=crops, rows_per_group=7)
    samples = sample_faces(file, 4)
    assert [sample.frame_index for sample in samples] == [0, 6, 22, 28]
    assert [sample.face_jpeg for sample in samples] == [crops[sample.frame_index] for sample in samples]
    assert len(sample_faces(file, 100)) == 19
    nobody = write_track(tmp_path, "nobody", 3, status=dict.fromkeys(range(3), Status.NO_FACE))
    assert sample_faces(nobody, 4) == []


def test_labels_are_counted_by_their_values(tmp_path: Path) -> None:
    rows = [
        label("107", 0, valence=-1.0, arousal=1.0, expression=4, au1=True, au2=True),
        label("107", 1, valence=-1.0, arousal=1.0, expression=4, au1=True, au2=False),
        label("107", 2, valence=0.5, au1=True),
        label("107", 3, expression=0, au2=True),
    ]
    counts = count_labels(write_labels(tmp_path / "labels.parquet", rows), Edition.ABAW_2020)
    assert counts.valence_arousal_VA[0, BINS - 1] == counts.valence_arousal_VA.sum() == 2
    assert {name: number for name, number in counts.expressions.items() if number} == {"happiness": 2, "neutral": 1}
    assert (counts.action_units["au1"], counts.action_units["au2"]) == ((3, 3), (2, 3))
    assert counts.action_units["au4"] == (0, 0)
    np.testing.assert_array_equal(counts.together_UU[:2, :2], [[1, 0.5], [1, 1]])
    assert np.isnan(counts.together_UU[2]).all()
    assert list(label_pictures(counts)) == [
        "Valence and arousal",
        "Expressions",
        "Action units",
        "Action units together",
    ]
    assert png(label_pictures(counts)["Expressions"]).startswith(b"\x89PNG")
    no_rows = count_labels(write_labels(tmp_path / "none.parquet", []), Edition.ABAW_2022)
    assert label_pictures(no_rows) == {}


def test_a_choice_in_words() -> None:
    assert describe_choice(None) == ""
    assert describe_choice({"rule": "hint"}) == "hint"
    side = {"rule": "other_side", "prominence_margin": 1.0, "side_margin": 0.5}
    assert describe_choice(side) == "other side, prominence margin 1.00, side margin 0.50"
