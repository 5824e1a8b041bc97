"""Intervals: their middle is the pooled score, a draw is a score of its frames, and they hold what they promise."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from data.labels import EXPRESSIONS, Edition, Task, action_unit_columns
from model.scores.intervals import (
    OFFICIAL_SUM,
    Interval,
    intervals,
    labelled_videos,
    mean_differences,
    mean_intervals,
    mean_scores,
    official_sum,
    paired_differences,
)
from model.scores.metrics import scores
from model.scores.tallies import Moments, Tallies, scores_by, scores_of, tally

Columns = dict[str, NDArray[np.float64]]
EDITION = Edition.ABAW_2020


def frames_of(
    generator: np.random.Generator, num_frames: int, missing: float = 0.2, noise: float = 0.3
) -> tuple[Columns, Columns]:
    """Predictions that have to do with the labels, both with holes."""
    truth: Columns = {name: generator.uniform(-1, 1, num_frames) for name in ("valence", "arousal")}
    truth["expression"] = generator.integers(0, len(EXPRESSIONS[EDITION]), num_frames).astype(float)
    truth |= {name: (generator.random(num_frames) < 0.3).astype(float) for name in action_unit_columns(EDITION)}
    predicted = {name: column + noise * generator.normal(size=num_frames) for name, column in truth.items()}
    predicted["expression"] = np.where(
        generator.random(num_frames) < noise,
        generator.integers(0, len(EXPRESSIONS[EDITION]), num_frames),
        truth["expression"],
    )
    for side in (predicted, truth):
        for name in side:
            side[name] = np.where(generator.random(num_frames) < missing, np.nan, side[name])
    return predicted, truth


def rows(columns: Columns, row_N: Iterable[int] | NDArray[np.int64]) -> Columns:
    return {name: column[np.asarray(row_N)] for name, column in columns.items()}


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    num_videos=st.integers(1, 6),
    num_frames=st.integers(1, 50),
    missing=st.sampled_from([0.0, 0.2, 0.9]),
)
def test_a_draw_of_videos_scores_as_their_frames_do(
    seed: int, num_videos: int, num_frames: int, missing: float
) -> None:
    generator = np.random.default_rng(seed)
    predicted, truth = frames_of(generator, num_frames, missing)
    video_N = generator.integers(0, num_videos, num_frames)
    videos = tuple(f"video{number}" for number in range(num_videos))
    tallies = tally(predicted, truth, EDITION, group_N=video_N, groups=videos)
    times_V = generator.integers(0, 4, num_videos)
    frame_M = np.repeat(np.arange(num_frames), times_V[video_N])
    weights = np.stack([np.ones(num_videos), times_V.astype(float)])
    found = scores_of(tallies, weights)
    for row, frames in enumerate((np.arange(num_frames), frame_M)):
        expected = scores(rows(predicted, frames), rows(truth, frames), EDITION)
        got = {name: values[row] for name, values in found.items() if not np.isnan(values[row])}
        assert got == pytest.approx(expected, abs=1e-9)


def example(num_videos: int = 12, seed: int = 5, noise: float = 0.3) -> Tallies:
    generator = np.random.default_rng(seed)
    predicted, truth = frames_of(generator, 40 * num_videos, noise=noise)
    video_N = np.repeat(np.arange(num_videos), 40)
    return tally(predicted, truth, EDITION, group_N=video_N, groups=tuple(map(str, range(num_videos))))


def test_every_score_has_an_interval_around_it() -> None:
    tallies = example()
    found = intervals(tallies, num_draws=300)
    pooled = {name: value[0] for name, value in scores_of(tallies, np.ones((1, 12))).items()}
    assert {name: interval.value for name, interval in found.items() if name != OFFICIAL_SUM} == pooled
    assert all(interval.low < interval.value < interval.high for interval in found.values())
    assert found[OFFICIAL_SUM].value == official_sum(pooled) == pytest.approx(pooled["total"])
    assert found == intervals(tallies, num_draws=300)
    assert str(Interval(0.5, 0.25, 0.75)) == "0.500 [0.250, 0.750]"
    assert str(Interval(0.5, float("nan"), float("nan"))) == "0.500"


def test_videos_of_the_same_people_are_drawn_together() -> None:
    """Each video twice, under other names, is no more to draw from than each once."""
    once, generator = example(), np.random.default_rng(5)
    predicted, truth = frames_of(generator, 40 * 12, noise=0.3)
    twice_N = np.tile(np.arange(40 * 12), 2)
    predicted, truth = ({name: of[twice_N] for name, of in columns.items()} for columns in (predicted, truth))
    video_N = np.repeat(np.arange(24), 40)
    people = tuple(f"{number:02d}" for number in range(12)) * 2
    twice = tally(predicted, truth, EDITION, group_N=video_N, groups=tuple(map(str, range(24))), people=people)
    for name, interval in intervals(once).items():
        found = intervals(twice)[name]
        assert (found.low, found.high) == pytest.approx((interval.low, interval.high), abs=1e-9), name
    assert intervals(replace(twice, people=("one",) * 24)) == {}


def test_draws_are_as_many_as_asked_for_and_from_their_seed() -> None:
    ours, theirs = example(noise=0.3), example(noise=0.4)
    some, other = {"num_draws": 50, "seed": 3}, {"num_draws": 50}
    assert intervals(ours, **some) == mean_intervals([ours], **some) != intervals(ours, **other)
    assert intervals(ours, **some) != intervals(ours, seed=3)
    found = paired_differences(ours, theirs, **some)
    assert found == mean_differences([ours], [theirs], **some) != paired_differences(ours, theirs, **other)
    assert found != paired_differences(ours, theirs, seed=3)


def test_two_videos_and_two_draws_are_enough_for_an_interval() -> None:
    found = intervals(example(num_videos=2))["ccc"]
    assert found.low < found.value < found.high
    assert intervals(example(), num_draws=2).keys() == intervals(example()).keys()
    assert intervals(example(), num_draws=1) == {}


def test_one_video_has_no_interval() -> None:
    assert intervals(example(num_videos=1)) == {}
    assert paired_differences(example(num_videos=1), example(num_videos=1)) == {}


def test_two_thousand_draws_of_the_videos_of_aff_wild2_take_a_moment() -> None:
    tallies = example(num_videos=150)
    start_s = time.process_time()
    intervals(tallies)
    assert time.process_time() - start_s < 2


def test_what_only_some_draws_have_is_taken_from_them() -> None:
    generator = np.random.default_rng(0)
    predicted, truth = frames_of(generator, 80, missing=0)
    for name in action_unit_columns(EDITION):
        truth[name][10:] = np.nan
    tallies = tally(predicted, truth, EDITION, group_N=np.arange(80) // 10, groups=tuple("abcdefgh"))
    found = intervals(tallies, num_draws=300)
    assert found["f1_au1"].low == found["f1_au1"].value == found["f1_au1"].high
    assert found["ccc"].low < found["ccc"].high


def unequal(noise: float) -> Tallies:
    """Twelve videos; only the first has labels of action units. The more noise, the worse, there as elsewhere."""
    generator = np.random.default_rng(3)
    predicted, truth = frames_of(generator, 12 * 40, missing=0)
    for name in action_unit_columns(EDITION):
        predicted[name] = np.where(generator.random(480) < noise, 1 - truth[name], truth[name])
        truth[name][40:] = np.nan
    return tally(predicted, truth, EDITION, group_N=np.arange(480) // 40, groups=tuple(map(str, range(12))))


def test_a_draw_without_labels_of_a_task_says_nothing_of_the_sum() -> None:
    """Without the one video with action units, a third of all draws would hide that the models differ in them alone."""
    better, worse = unequal(0.0), unequal(0.4)
    found = paired_differences(better, worse)
    units = found["action_units"]
    assert units.low == pytest.approx(units.value)
    assert units.value > 0.3
    total = found[OFFICIAL_SUM]
    assert (total.low, total.value, total.high) == pytest.approx((units.value,) * 3)
    alone = intervals(better)
    assert alone[OFFICIAL_SUM].low > alone["ccc"].low + alone["expression"].low + 0.9


def test_a_task_without_any_label_is_no_part_of_the_sum() -> None:
    predicted, truth = frames_of(np.random.default_rng(0), 80, missing=0)
    truth["expression"][:] = np.nan
    tallies = tally(predicted, truth, EDITION, group_N=np.arange(80) // 10, groups=tuple("abcdefgh"))
    found = intervals(tallies, num_draws=300)
    assert found[OFFICIAL_SUM].value == pytest.approx(found["ccc"].value + found["action_units"].value)
    difference = paired_differences(tallies, tallies)[OFFICIAL_SUM]
    assert (difference.low, difference.value, difference.high) == (0, 0, 0)
    assert labelled_videos(tallies) == {Task.VA: 8, Task.AU: 8}
    assert labelled_videos(unequal(0.0)) == {Task.VA: 12, Task.EXPR: 12, Task.AU: 1}
    for name in ("valence", "arousal", *action_unit_columns(EDITION)):
        truth[name][:] = np.nan
    nothing = tally(predicted, truth, EDITION, group_N=np.arange(80) // 10, groups=tuple("abcdefgh"))
    assert OFFICIAL_SUM not in paired_differences(nothing, nothing)
    assert labelled_videos(nothing) == {}


def test_what_one_model_alone_has_no_number_for_gives_no_sum() -> None:
    def said(valence: float) -> Tallies:
        truth = {name: np.linspace(-1, 1, 80) for name in ("valence", "arousal")}
        others = dict.fromkeys(("expression", *action_unit_columns(EDITION)), np.full(80, np.nan))
        found = tally(
            {**truth, **others}, {**truth, **others}, EDITION, group_N=np.arange(80) // 10, groups=tuple("abcdefgh")
        )
        spoilt = replace(found.moments["valence"], predicted_squares_G=np.full(8, valence))
        return replace(found, moments={**found.moments, "valence": spoilt})

    assert OFFICIAL_SUM in paired_differences(said(1.0), said(2.0))
    assert OFFICIAL_SUM not in paired_differences(said(float("nan")), said(2.0))
    assert OFFICIAL_SUM not in paired_differences(said(2.0), said(float("nan")))


def test_two_models_are_compared_on_the_same_draws() -> None:
    """Their scores differ more from video to video than from each other: only pairs can tell them apart."""
    generator = np.random.default_rng(1)
    video_N = np.repeat(np.arange(20), 60)
    truth = {"valence": generator.uniform(-1, 1, len(video_N))}
    error_N = generator.normal(size=len(video_N)) * generator.uniform(0.1, 1.5, 20)[video_N]
    nothing = np.full(len(video_N), np.nan)
    truth |= dict.fromkeys(("arousal", "expression", *action_unit_columns(EDITION)), nothing)

    def model(noise: float) -> Tallies:
        predicted = {**truth, "valence": truth["valence"] + noise * error_N}
        return tally(predicted, truth, EDITION, group_N=video_N, groups=tuple(map(str, range(20))))

    better, worse = model(0.9), model(1.0)
    alone = [intervals(tallies)["ccc_valence"] for tallies in (better, worse)]
    assert alone[0].low < alone[1].high
    difference = paired_differences(better, worse)["ccc_valence"]
    assert 0 < difference.low < difference.value < difference.high
    assert difference.value == pytest.approx(alone[0].value - alone[1].value)
    opposite = paired_differences(worse, better)["ccc_valence"]
    assert (opposite.low, opposite.high) == pytest.approx((-difference.high, -difference.low))
    same = paired_differences(worse, worse)["ccc_valence"]
    assert (same.low, same.value, same.high) == (0, 0, 0)


def test_only_the_same_frames_can_be_compared() -> None:
    with pytest.raises(ValueError, match="needs the same videos, got 12 and 11"):
        paired_differences(example(12), example(11))
    predicted, truth = frames_of(np.random.default_rng(0), 90, missing=0)
    videos = tuple("abc")
    whole = tally(predicted, truth, EDITION, group_N=np.arange(90) // 30, groups=videos)
    for name, said in (("arousal", "arousal"), ("expression", "expressions"), ("au4", "action units")):
        fewer = {**predicted, name: np.where(np.arange(90) == 45, np.nan, predicted[name])}
        partly = tally(fewer, truth, EDITION, group_N=np.arange(90) // 30, groups=videos)
        with pytest.raises(ValueError, match=f"those of {said} differ in video b: one of the models has no prediction"):
            paired_differences(whole, partly)


def test_frames_are_the_same_if_their_numbers_are_and_their_means_but_for_rounding() -> None:
    (ours,) = seeds(0.3)
    assert ours.units is not None
    valence = ours.moments["valence"]
    rounded = {**ours.moments, "valence": replace(valence, target_G=valence.target_G + 5e-7)}
    assert paired_differences(ours, replace(ours, moments=rounded))["ccc_valence"].value == pytest.approx(0, abs=1e-6)
    many, one_more = (replace(ours.units, count_GU=ours.units.count_GU + more) for more in (200_000, 200_001))
    with pytest.raises(ValueError, match="those of action units differ in video 0"):
        paired_differences(replace(ours, units=many), replace(ours, units=one_more))
    with pytest.raises(ValueError, match="those of action units differ in video 0"):
        paired_differences(replace(ours, moments={}, units=many), replace(ours, units=one_more))


def coverage(num_videos: int, trials: int = 250) -> float:
    """How often the interval of a CCC holds that of all videos there could be; each has its own error and mean."""
    generator = np.random.default_rng(7)
    nothing = {name: np.full(0, 0.0) for name in ("expression", *action_unit_columns(EDITION))}

    def draw(videos: int) -> Tallies:
        video_N = np.repeat(np.arange(videos), 30)
        mean_V, error_V, offset_V = generator.normal(0, [[0.3], [0.2], [0.1]], (3, videos))
        target_N = mean_V[video_N] + generator.normal(0, 0.2, len(video_N))
        predicted_N = target_N * 0.8 + offset_V[video_N] + error_V[video_N] * generator.normal(size=len(video_N))
        truth, predicted = ({"valence": of, "arousal": of} for of in (target_N, predicted_N))
        empty = {name: np.full(len(video_N), np.nan) for name in nothing}
        groups = tuple(map(str, range(videos)))
        return tally({**predicted, **empty}, {**truth, **empty}, EDITION, group_N=video_N, groups=groups)

    truth = float(scores_of(draw(20_000), np.ones((1, 20_000)))["ccc"][0])
    found = [intervals(draw(num_videos), num_draws=400)["ccc"] for _ in range(trials)]
    return float(np.mean([interval.low <= truth <= interval.high for interval in found]))


def test_the_interval_holds_the_truth_about_19_times_in_20() -> None:
    assert 0.90 <= coverage(40) <= 0.99


def test_the_interval_of_a_few_videos_is_too_narrow() -> None:
    assert 0.6 < coverage(6) < 0.93


def seeds(*noises: float) -> list[Tallies]:
    """Trainings of a system whose answers are off by noise, on the same 12 videos."""
    found = []
    for number, noise in enumerate(noises):
        _, truth = frames_of(np.random.default_rng(0), 480, missing=0)
        off = np.random.default_rng((1, number))
        predicted = {name: column + noise * off.normal(size=480) for name, column in truth.items()}
        predicted["expression"] = np.where(off.random(480) < noise, 0, truth["expression"])
        videos = tuple(map(str, range(12)))
        found.append(tally(predicted, truth, EDITION, group_N=np.arange(480) // 40, groups=videos))
    return found


def test_the_score_of_several_seeds_is_their_mean_and_its_interval_covers_their_spread() -> None:
    trainings = seeds(0.2, 0.8, 1.4)
    found = mean_intervals(trainings)
    each = [intervals(tallies) for tallies in trainings]
    for name in ("ccc_valence", "expression", OFFICIAL_SUM):
        assert found[name].value == pytest.approx(np.mean([of[name].value for of in each]))
    spread = found["ccc_valence"].high - found["ccc_valence"].low
    assert all(spread > 2 * (of["ccc_valence"].high - of["ccc_valence"].low) for of in each)
    alike = mean_intervals([trainings[0]] * 3)
    for name, interval in each[0].items():
        assert (alike[name].low, alike[name].value, alike[name].high) == pytest.approx(
            (interval.low, interval.value, interval.high)
        )


def test_the_mean_scores_of_several_seeds_are_those_of_their_intervals() -> None:
    trainings = seeds(0.2, 0.8)
    assert mean_scores(trainings) == {name: of.value for name, of in mean_intervals(trainings, num_draws=20).items()}
    only = [replace(tallies, expressions=None, units=None) for tallies in trainings]
    assert mean_scores(only).keys() == {"ccc_valence", "ccc_arousal", "ccc", OFFICIAL_SUM}
    unlabelled = [replace(of, moments={**of.moments, "arousal": unseen(of.moments["arousal"])}) for of in only]
    assert mean_scores(unlabelled).keys() == {"ccc_valence"}


def unseen(moments: Moments) -> Moments:
    return Moments(*[values_G * 0 for values_G in vars(moments).values()])


def test_each_draw_has_its_own_trainings_and_videos() -> None:
    trainings = seeds(0.2, 0.8, 1.4)
    weight_RV = np.random.default_rng(4).multinomial(12, [1 / 12] * 12, size=40).astype(float)
    chosen_RS = np.random.default_rng((4, 1)).integers(3, size=(40, 3))
    ccc_SR = [scores_of(tallies, weight_RV)["ccc_valence"] for tallies in trainings]
    mean_R = [np.mean([ccc_SR[training][row] for training in chosen]) for row, chosen in enumerate(chosen_RS.tolist())]
    found = mean_intervals(trainings, num_draws=40, seed=4)["ccc_valence"]
    assert (found.low, found.high) == pytest.approx(np.percentile(mean_R, (2.5, 97.5)))


def test_differences_of_seeds_are_paired_by_seed() -> None:
    theirs = seeds(0.2, 0.8, 1.4)
    ours = seeds(0.1, 0.7, 1.3)
    found = mean_differences(ours, theirs)["ccc_valence"]
    assert found.value == pytest.approx(
        np.mean([paired_differences(a, b)["ccc_valence"].value for a, b in zip(ours, theirs, strict=True)])
    )
    # The seeds differ by far more than the systems, so only pairs can tell these apart.
    assert 0 < found.low < found.high < 0.2
    opposite = mean_differences(theirs, ours)["ccc_valence"]
    assert (opposite.low, opposite.high) == pytest.approx((-found.high, -found.low))


def test_systems_with_other_tasks_are_compared_in_those_that_both_answer() -> None:
    (whole,) = seeds(0.3)
    part = replace(whole, moments={}, units=None)
    found = paired_differences(part, whole)
    assert (found["expression"].low, found["expression"].high) == (0, 0)
    assert not [name for name in found if name.startswith(("ccc", "action", "f1_au")) or name == OFFICIAL_SUM]
    assert mean_intervals([part])[OFFICIAL_SUM].value == mean_intervals([part])["expression"].value


def test_a_draw_in_which_all_labels_are_alike_has_no_ccc() -> None:
    truth = dict.fromkeys(("valence", "arousal"), np.array([0.5, 0.5, 0.0, 1.0]))
    predicted = dict.fromkeys(("valence", "arousal"), np.array([0.4, 0.6, 0.0, 1.0]))
    tallies = tally(predicted, truth, EDITION, group_N=np.array([0, 0, 1, 1]), groups=("a", "b"), tasks=[Task.VA])
    found = scores_of(tallies, np.array([[1.0, 0], [0, 1], [1, 1]]))
    np.testing.assert_allclose(found["ccc_valence"], [np.nan, 1, 50 / 51])


def test_the_official_sum_takes_scores_that_are_missing_for_nothing() -> None:
    assert official_sum({"ccc": 0.5, "expression": float("nan"), "f1_au1": 1.0}) == 0.5


def test_scores_of_merged_groups_are_those_of_their_frames() -> None:
    generator = np.random.default_rng(3)
    predicted, truth = frames_of(generator, 60)
    video_N = np.repeat(np.arange(3), 20)
    tallies = tally(predicted, truth, EDITION, group_N=video_N, groups=("a_1", "a_2", "b"))
    found = scores_by(tallies, ["a", "a", "b"])
    assert list(found) == ["a", "b"]
    for name, is_member_N in (("a", video_N < 2), ("b", video_N == 2)):
        expected = scores(
            rows(predicted, np.flatnonzero(is_member_N)), rows(truth, np.flatnonzero(is_member_N)), EDITION
        )
        assert found[name] == pytest.approx(expected, abs=1e-9)


def test_videos_are_counted_by_the_rarer_part_of_each_task() -> None:
    nothing = np.full(6, np.nan)
    predicted, truth = frames_of(np.random.default_rng(4), 6, missing=0)
    truth = dict.fromkeys(truth, nothing) | {"valence": truth["valence"], "arousal": truth["arousal"].copy()}
    truth["arousal"][3:] = np.nan
    videos = tally(predicted, truth, EDITION, group_N=np.repeat(np.arange(3), 2), groups=("a", "b", "c"))
    assert labelled_videos(videos) == {Task.VA: 2}
    only = tally(predicted, truth, EDITION, group_N=np.repeat(np.arange(3), 2), groups=("a", "b", "c"), tasks=[Task.VA])
    assert labelled_videos(only) == {Task.VA: 2}
    nothing_of_it = tally(predicted, truth, EDITION, tasks=[Task.EXPR, Task.AU])
    assert labelled_videos(nothing_of_it) == {}
