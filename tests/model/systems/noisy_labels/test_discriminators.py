"""The five scores of a pair."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from support.noisy_pairs import some_pairs, tiny_network

from model.systems.noisy_labels.discriminators import SCORES, Discriminators
from model.systems.noisy_labels.pairs import Pairs
from model.systems.noisy_labels.settings import NoisyLabelsArchitecture


def test_the_published_discriminators_join_2048_features_of_four_parts() -> None:
    discriminators = Discriminators(NoisyLabelsArchitecture(), 7).eval()
    pairs = Pairs(
        torch.zeros(2, 3, 64, 64), torch.zeros(2, 100), torch.zeros(2, 7), torch.zeros(2, 2), some_pairs(2).known_B2
    )
    features = discriminators.features(pairs)
    assert [tuple(part_BK.shape) for part_BK in features] == [(2, 512)] * 4
    assert discriminators.joint.first.in_features == 2048
    assert discriminators.joint_score.in_features == 1024
    assert discriminators(pairs).shape == (2, len(SCORES))


@pytest.mark.parametrize(
    ("changed", "scores"),
    [
        ("faces_BCHW", {"face", "joint"}),
        ("latent_BZ", {"latent", "joint"}),
        ("expression_BE", {"expression", "joint"}),
        ("valence_arousal_B2", {"valence_arousal", "joint"}),
    ],
)
def test_a_part_changes_its_own_score_and_the_joint_one(changed: str, scores: set[str]) -> None:
    discriminators, pairs = tiny_network().discriminators.eval(), some_pairs()
    other = replace(pairs, **{changed: getattr(pairs, changed) / 2})
    differs_S = (discriminators(other) != discriminators(pairs)).any(0)
    assert {name for name, differs in zip(SCORES, differs_S.tolist(), strict=True) if differs} == scores


def test_what_stands_in_for_a_missing_label_changes_no_other_score() -> None:
    discriminators = tiny_network().discriminators.eval()
    pairs = replace(some_pairs(), known_B2=torch.tensor([[False, True]] * 6))
    other = replace(pairs, expression_BE=pairs.expression_BE + 1)
    differs_S = (discriminators(other) != discriminators(pairs)).any(0)
    assert not differs_S[[0, 1, 3, 4]].any()
    known = replace(some_pairs(), expression_BE=pairs.expression_BE + 1)
    assert (discriminators(known) != discriminators(pairs)).any(0)[4]


def test_a_pair_is_scored_by_itself() -> None:
    discriminators, pairs = tiny_network().discriminators.eval(), some_pairs()
    alone = Pairs(*(value[2:3] for value in vars(pairs).values()))
    torch.testing.assert_close(discriminators(alone), discriminators(pairs)[2:3])
