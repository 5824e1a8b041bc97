"""Label sets of a batch, and the labels that are drawn from them."""

from __future__ import annotations

import torch
from support.noisy_pairs import some_pairs, tiny_batch
from torch import nan

from model.systems.noisy_labels.pairs import LabelSet, draw_labels, has_score, known_to_any, label_sets


def _set(expressions: list[float], valences: list[float]) -> LabelSet:
    return LabelSet(torch.tensor(expressions), torch.tensor([[valence, -valence] for valence in valences]))


def test_a_batch_has_its_own_labels_and_further_sets_if_they_were_given() -> None:
    assert len(label_sets(tiny_batch())) == 1
    expression_B, valence_arousal_B2 = torch.full((6,), 3.0), torch.full((6, 2), 0.5)
    first, second = label_sets(tiny_batch(expression_1=expression_B, valence_arousal_1=valence_arousal_B2))
    assert first.expression_B.tolist() == [0, 1, 2, 3, 4, 5]
    assert second.expression_B is expression_B
    assert second.valence_arousal_B2 is valence_arousal_B2


def test_valence_and_arousal_are_known_only_together() -> None:
    labels = LabelSet(torch.tensor([nan, 1.0]), torch.tensor([[0.1, 0.2], [0.1, nan]]))
    assert labels.known().tolist() == [[False, True], [True, False]]
    other = LabelSet(torch.tensor([nan, nan]), torch.tensor([[nan, nan], [0.3, 0.4]]))
    assert known_to_any([labels, other]).tolist() == [[False, True], [True, True]]


def test_labels_come_from_both_sets_equally_often_and_from_one_set_per_face() -> None:
    torch.manual_seed(5)
    num_faces = 4000
    drawn = draw_labels([_set([1.0] * num_faces, [0.1] * num_faces), _set([2.0] * num_faces, [0.2] * num_faces)])
    first_B = drawn.expression_B == 1
    assert 0.47 < float(first_B.float().mean()) < 0.53
    torch.testing.assert_close(drawn.valence_arousal_B2[:, 0], torch.where(first_B, 0.1, 0.2))


def test_a_label_that_one_set_lacks_comes_from_the_other_and_is_missing_if_both_lack_it() -> None:
    torch.manual_seed(5)
    for _ in range(20):
        drawn = draw_labels([_set([nan, 1.0, nan], [0.1, nan, nan]), _set([2.0, nan, nan], [nan, 0.2, nan])])
        torch.testing.assert_close(drawn.expression_B, torch.tensor([2.0, 1.0, nan]), equal_nan=True)
        expected_B2 = torch.tensor([[0.1, -0.1], [0.2, -0.2], [nan, nan]])
        torch.testing.assert_close(drawn.valence_arousal_B2, expected_B2, equal_nan=True)


def test_every_pair_has_scores_of_face_code_and_whole_but_only_of_known_labels() -> None:
    known_B2 = torch.tensor([[True, False], [False, True], [False, False]])
    assert has_score(known_B2).int().tolist() == [[1, 1, 1, 0, 1], [1, 1, 0, 1, 1], [1, 1, 0, 0, 1]]


def test_pairs_are_joined_in_order_and_detached_from_their_networks() -> None:
    first, second = some_pairs(2, seed=1), some_pairs(3, seed=2)
    both = first.and_then(second)
    assert len(both.known_B2) == 5
    assert torch.equal(both.latent_BZ, torch.cat([first.latent_BZ, second.latent_BZ]))
    first.latent_BZ.requires_grad_()
    assert first.and_then(second).latent_BZ.requires_grad
    assert not first.detached().latent_BZ.requires_grad
