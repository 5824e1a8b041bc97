"""The parts of the sample: the plan, the acting, the rasteriser, people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from data.labels import Split
from data.sample.acting import EXPRESSION_NAMES, Performance, perform
from data.sample.head import UNITS, load_head
from data.sample.moves import Move, shift, turn
from data.sample.people import make_person
from data.sample.plan import Cast, ClipPlan, Codec, plan_clip
from data.sample.raster import rasterize, vertex_normals
from data.sample.render import Box, Light, Pose, render
from data.sample.scenes import covered_share, visible_share
from data.sample.traits import in_uniform, sample_traits


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """As in the workers; more of them mostly wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def plans(clips: int) -> list[ClipPlan]:
    return [plan_clip(index, seconds=6, seed=7) for index in range(clips)]


def test_three_clips_have_both_splits_two_people_and_an_absence() -> None:
    first = plans(3)
    assert {plan.split for plan in first} == {Split.TRAIN, Split.VALIDATION}
    assert any(len(plan.track_ids) == 2 for plan in first)
    assert any(plan.walks_out for plan in first)


def test_the_default_sample_has_enough_people_in_both_splits() -> None:
    people = Counter(plan.split for plan in plans(30) for _ in plan.track_ids)
    assert people == {Split.TRAIN: 27, Split.VALIDATION: 12}


def test_every_track_has_a_name_of_its_own() -> None:
    names = [track_id for plan in plans(300) for track_id in plan.track_ids]
    assert len(set(names)) == len(names)


def test_most_clips_are_vp9_and_one_is_hevc() -> None:
    codecs = Counter(plan.codec for plan in plans(30))
    assert codecs == {Codec.VP9: 23, Codec.H264: 6, Codec.HEVC: 1}


def test_a_clip_does_not_depend_on_how_many_there_are() -> None:
    assert plans(5) == plans(30)[:5]


def test_the_hard_cast_has_every_move_and_a_bystander_in_half_of_its_clips() -> None:
    hard = [plan_clip(index, seconds=6, seed=7, cast=Cast.PEOPLE) for index in range(10)]
    assert {move for plan in hard for move in (*plan.moves, *plan.bystanders)} == set(Move)
    assert sum(len(plan.track_ids) == 2 for plan in hard) == 6
    assert sum(bool(plan.bystanders) for plan in hard) == 5
    assert hard[3].everyone == ("904-25-640x360", "904-25-640x360_bystander1")
    names = [name for plan in hard for name in plan.everyone]
    assert len(set(names)) == len(names)


TIME_S = np.arange(0, 6, 0.1, dtype=np.float32)


@pytest.mark.parametrize(
    ("move", "start", "middle", "end"),
    [
        (Move.STAYS, 0.3, 0.3, 0.3),
        (Move.CROSSES, 0.3, 0.7, 0.3),
        (Move.CROSSES_ONCE, 0.3, 0.3, 0.7),
        (Move.LEAVES, 0.3, 0.3, -0.3),
        (Move.ARRIVES, -0.3, 0.3, 0.3),
        (Move.RETURNS, 0.3, -0.3, 0.3),
        (Move.TURNS, 0.3, 0.3, 0.3),
        (Move.PASSES, 0.0, 0.75, 1.5),
    ],
)
def test_a_move_goes_where_it_says(move: Move, start: float, middle: float, end: float) -> None:
    x_F = 0.3 + shift(move, TIME_S, 0.3, np.random.default_rng(1))
    tolerance = 0.1 if move is Move.PASSES else 1e-6
    assert (x_F[0], x_F[29], x_F[-1]) == pytest.approx((start, middle, end), abs=tolerance)


def test_only_who_turns_is_seen_from_the_side() -> None:
    yaws = {move: np.abs(turn(move, TIME_S, np.random.default_rng(1))).max() for move in Move}
    assert yaws.pop(Move.TURNS) == pytest.approx(1.45)
    assert set(yaws.values()) == {0}


def test_every_clip_acts_every_expression_for_about_as_long() -> None:
    counts = np.zeros(7)
    for seed in range(20):
        shown = np.bincount(perform(np.random.default_rng(seed), 180, 30.0).expression, minlength=7)
        assert (shown > 0).all()
        counts += shown
    neutral = EXPRESSION_NAMES.index("neutral")
    shares = counts / counts.sum()
    assert shares[neutral] == pytest.approx(0.25, abs=0.05)
    assert np.delete(shares, neutral) == pytest.approx(0.75 / 6, abs=0.02)


def performance_of(happiness: list[float], **units: list[float]) -> Performance:
    expressions = np.zeros((len(happiness), len(EXPRESSION_NAMES)), np.float32)
    expressions[:, EXPRESSION_NAMES.index("happiness")] = happiness
    intensities = np.zeros((len(happiness), len(UNITS)), np.float32)
    for unit, values in units.items():
        intensities[:, UNITS.index(int(unit.removeprefix("au")))] = values
    still = np.zeros(len(happiness), np.float32)
    return Performance(intensities, expressions, still, still, still, still, still)


def test_labels_follow_from_intensities_by_the_convention() -> None:
    acted = performance_of([0.0, 0.25, 0.5, 1.0], au12=[0.0, 0.29, 0.31, 1.0])
    assert acted.expression.tolist() == [0, 0, 4, 4]
    assert acted.present(12).tolist() == [False, False, True, True]
    assert acted.present(1).tolist() == [False] * 4
    assert acted.valence_arousal == pytest.approx(np.array([[0, 0], [0.2, 0.125], [0.4, 0.25], [0.8, 0.5]]))


TRIANGLES = torch.tensor([[0, 2, 1]])


def test_a_triangle_covers_the_pixels_whose_centres_are_inside() -> None:
    corners = torch.tensor([[0.0, 0.0], [2.9, 0.0], [0.0, 2.9]])
    hits = rasterize(corners, torch.ones(3), TRIANGLES, 4, 4)
    assert hits.pixel_M.tolist() == [0, 1, 4]
    assert hits.weights_M3.sum(1).tolist() == pytest.approx([1, 1, 1])
    assert hits.interpolate(corners, TRIANGLES).flatten().tolist() == pytest.approx([0.5, 0.5, 1.5, 0.5, 0.5, 1.5])


def test_a_triangle_seen_from_behind_is_not_drawn() -> None:
    corners = torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 3.0]])
    assert len(rasterize(corners, torch.ones(3), TRIANGLES.flip(1), 4, 4).pixel_M) == 0
    assert len(rasterize(corners, torch.ones(3), TRIANGLES.flip(1), 4, 4, cull=False).pixel_M) > 0


def test_the_nearest_triangle_is_visible_in_any_order() -> None:
    corner = torch.tensor([[0.0, 0.0], [0.0, 9.0], [9.0, 0.0]])
    corners, nearness = torch.cat([corner, corner]), torch.tensor([1.0, 1, 1, 2, 2, 2])
    for far_first in (True, False):
        order = torch.tensor([[0, 1, 2], [3, 4, 5]] if far_first else [[3, 4, 5], [0, 1, 2]])
        hits = rasterize(corners, nearness, order, 4, 4)
        assert set(hits.triangle_M.tolist()) == {1 if far_first else 0}


def test_the_normal_of_a_triangle_in_the_plane_of_the_picture_points_to_the_viewer() -> None:
    corners = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]])
    assert vertex_normals(corners, torch.tensor([[0, 1, 2]])).tolist() == [[0, 0, 1]] * 3


@pytest.mark.parametrize(
    ("box", "share"), [(Box(10, 10, 50, 50), 1), (Box(-25, 10, 50, 50), 0.5), (Box(700, 10, 50, 50), 0)]
)
def test_the_visible_share_of_a_box_is_what_lies_in_the_picture(box: Box, share: float) -> None:
    assert visible_share(box) == share


@pytest.mark.parametrize(
    ("nearer", "share"), [(Box(10, 10, 50, 50), 1), (Box(35, 10, 50, 50), 0.5), (Box(60, 10, 50, 50), 0)]
)
def test_the_covered_share_of_a_box_is_what_lies_behind_a_nearer_one(nearer: Box, share: float) -> None:
    assert covered_share(Box(10, 10, 50, 50), nearer) == share


def test_who_is_just_out_of_the_picture_leaves_it_as_it_is() -> None:
    """A vertex reaches into the window of a few pixels, but covers no pixel's middle."""
    head = load_head()
    someone = make_person(head, (1, 0, 0))
    light = Light(torch.tensor([0.0, 0, 1]), torch.ones(3), torch.tensor([0.0, 0, 1]), torch.ones(3), 0.2)
    for x_px in np.linspace(-2, -1, 12):
        pose = Pose(torch.zeros(len(UNITS)), 0, 0, 0, 0, 0, float(x_px), 4, 0.6)
        picture = torch.zeros(8, 8, 3, dtype=torch.uint8)
        render(someone, pose, light, picture)
        assert picture[:, 2:].sum() == 0


def test_every_action_unit_moves_the_face() -> None:
    assert (load_head().units_UV3.abs().amax((1, 2)) > 0.03).all()


def test_people_of_different_seeds_differ_and_of_the_same_do_not() -> None:
    head = load_head()
    one, same, other = (make_person(head, seed) for seed in ((1, 0, 0), (1, 0, 0), (1, 0, 1)))
    assert torch.equal(one.rest_V3, same.rest_V3)
    assert torch.equal(one.texture_1CSS, same.texture_1CSS)
    assert (one.rest_V3 - other.rest_V3).abs().max() > 0.05


def test_in_uniform_only_clothes_and_hair_are_the_same() -> None:
    one, other = (sample_traits(np.random.default_rng(seed)) for seed in (1, 2))
    dressed = [in_uniform(traits) for traits in (one, other)]
    for name in ("hair", "hairline", "hair_colour", "shirt_colour"):
        assert np.all(getattr(dressed[0], name) == getattr(dressed[1], name)), name
    assert np.all(dressed[0].skin_colour == one.skin_colour)
    assert plan_clip(0, seconds=1, seed=7, cast=Cast.UNIFORMS).uniforms
