"""Doubts about the people chosen for tracks, in sentences that say what to check."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from data.tracks.assignment import Choice, Rule
from data.tracks.people import Person, in_frames

_PROMINENCE = 0.5
"""People with more than this share of a chosen person's prominence might have been the right choice."""
_SIDE = 0.5
"""A side that holds in less than three of four frames."""
_JOIN, _RIVAL, _SPLIT = 0.04, 0.04, 0.04
"""Margins; the limit for joining is 0.24: see `data.tracks.people.Person`."""
_NOTABLE = 0.1
"""People with less than this share of the highest prominence are not mentioned."""
_AS_LARGE = 0.7


class Doubt(NamedTuple):
    """What may be wrong."""

    text: str
    people: Sequence[Person] = ()
    """Those to compare, one face each."""


def doubts(people: Sequence[Person], choices: Mapping[str, Choice]) -> list[Doubt]:
    """A sentence for each thing that may be wrong; normally none."""
    numbers = {face.row: number for number, person in enumerate(people, start=1) for face in person.faces}
    return [
        *(doubt for track_id, choice in choices.items() for doubt in _of_choice(track_id, choice, people, numbers)),
        *(doubt for track_id, choice in choices.items() for doubt in _of_person(track_id, choice)),
        *_alike(people, choices, numbers),
        *_left_over(people, choices),
    ]


def _of_choice(track_id: str, choice: Choice, people: Sequence[Person], numbers: Mapping[int, int]) -> Iterator[Doubt]:
    if choice.rule is Rule.HINT:
        return
    settle = f"check its faces; if the person is wrong, name the right one under [{track_id}] in --track-hints"
    if choice.person is None:
        yield Doubt(
            f"{track_id}: no person was found, so none of its frames has a face; a lower min_score finds more faces"
        )
        return
    number = numbers[choice.person.faces[0].row]
    if choice.rule is Rule.HALF_OF_FRAME:
        yield Doubt(
            f"{track_id}: person {number} is the only one found for two tracks, and was assigned by the half of the"
            f" frame; {settle}"
        )
    elif choice.side_margin is not None and choice.side_margin < _SIDE:
        share = f"{50 + 50 * choice.side_margin:.0f} %"
        yield Doubt(f"{track_id}: person {number} is on its side in only {share} of the frames with both; {settle}")
    if choice.runner_up and choice.prominence_margin is not None and choice.prominence_margin < 1 - _PROMINENCE:
        share = f"{100 - 100 * choice.prominence_margin:.0f} %"
        rival = numbers[choice.runner_up.faces[0].row]
        yield Doubt(
            f"{track_id}: person {rival} has no track, but {share} of the prominence of this track's person; {settle}",
            (people[number - 1], people[rival - 1]),
        )


def _of_person(track_id: str, choice: Choice) -> Iterator[Doubt]:
    person = choice.person
    if person is None or choice.rule is Rule.HINT:
        return
    look = (
        f"check its faces from start to end; if they are two people's, name frames under [{track_id}] in --track-hints"
    )
    if person.join_margin < _JOIN:
        yield Doubt(
            f"{track_id}: very different stretches were joined (margin {person.join_margin:.3f} of 0.24); {look}"
        )
    if person.rival_margin < _RIVAL:
        yield Doubt(
            f"{track_id}: one of its stretches fits another person as well (margin {person.rival_margin:.3f}); {look}"
        )


def _alike(people: Sequence[Person], choices: Mapping[str, Choice], numbers: Mapping[int, int]) -> Iterator[Doubt]:
    """Pairs who are never seen together and may be one person; each pair once."""
    told: set[frozenset[int]] = set()
    for track_id, choice in choices.items():
        person = choice.person
        if person is None or choice.rule is Rule.HINT or not _may_be_same(person, people):
            continue
        assert person.most_similar is not None
        other, number = people[person.most_similar], numbers[person.faces[0].row]
        pair = frozenset({number, person.most_similar + 1})
        if pair not in told:
            told.add(pair)
            yield Doubt(
                f"{track_id}: person {person.most_similar + 1} in {in_frames(other)} may be the same as person {number}"
                f" in {in_frames(person)} (margin {person.split_margin:.3f}); if so, name both under [{track_id}] in"
                " --track-hints",
                (person, other),
            )


def _may_be_same(person: Person, people: Sequence[Person]) -> bool:
    """Whether the most similar person may be the same one, and appears long enough to matter."""
    if person.most_similar is None or person.split_margin >= _SPLIT:
        return False
    return people[person.most_similar].prominence_px >= _NOTABLE * person.prominence_px


def _left_over(people: Sequence[Person], choices: Mapping[str, Choice]) -> Iterator[Doubt]:
    """People who could fill the frames that a track lacks: as large, and never in a frame with its person."""
    taken = {face.row for choice in choices.values() if choice.person for face in choice.person.faces}
    for number, person in enumerate(people, start=1):
        frames = {face.frame_index for face in person.faces}
        for track_id, choice in choices.items():
            owner = choice.person
            if (
                owner is not None
                and person.faces[0].row not in taken
                and person.prominence_px >= _NOTABLE * people[0].prominence_px
                and person.size_px >= _AS_LARGE * owner.size_px
                and frames.isdisjoint(face.frame_index for face in owner.faces)
                and not (owner.most_similar == number - 1 and _may_be_same(owner, people))
                and number - 1 not in owner.surely_others
            ):
                yield Doubt(
                    f"{track_id}: person {number} has no track and is seen only in {in_frames(person)}, where this "
                    f"track has no face; if they are the same, name both under [{track_id}] in --track-hints",
                    (owner, person),
                )
