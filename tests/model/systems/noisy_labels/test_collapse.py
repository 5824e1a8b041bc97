"""When the adversarial game counts as over."""

from __future__ import annotations

from model.systems.noisy_labels.collapse import collapsed

FAIR = {"train/loss_discriminator": 1.2, "train/score_real": 1.5, "train/score_fake": -1.0}
WON = {"train/loss_discriminator": 0.05, "train/score_real": 9.0, "train/score_fake": -9.0}
DEAD = {"train/loss_discriminator": 2.0, "train/score_real": 0.01, "train/score_fake": 0.0}
WITHOUT = {"train/loss": 1.0}


def test_a_fair_game_and_no_game_are_not_over() -> None:
    for records in ([], [FAIR] * 5, [WITHOUT] * 5, [WITHOUT, WITHOUT, FAIR]):
        assert collapsed(records) is None


def test_discriminators_have_won_after_three_epochs_almost_without_a_loss() -> None:
    assert collapsed([FAIR, WON, WON]) is None
    assert "the discriminators won: from epoch 2 on" in str(collapsed([FAIR, WON, WON, WON]))
    assert "from epoch 3 on" in str(collapsed([WITHOUT, FAIR, WON, WON, WON, WON]))


def test_discriminators_have_died_after_three_epochs_in_which_they_tell_nothing_apart() -> None:
    assert collapsed([FAIR, DEAD, DEAD]) is None
    assert "the discriminators died: from epoch 1 on" in str(collapsed([DEAD, DEAD, DEAD]))
    upside_down = {**DEAD, "train/score_fake": 3.0}
    assert "died" in str(collapsed([upside_down] * 3))


def test_a_game_that_recovers_or_changes_is_not_over() -> None:
    assert collapsed([WON, WON, WON, FAIR]) is None
    assert collapsed([DEAD, DEAD, DEAD, WITHOUT]) is None
    assert collapsed([WON, WON, DEAD]) is None
