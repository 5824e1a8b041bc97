"""One training step: who is updated by what, missing labels, values that are not finite, and resuming."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
import torch
from support.noisy_pairs import tiny_batch, tiny_network
from torch import Tensor, nan, nn

from data.batches.batch import Batch
from model.systems.mtanet.network import MTANet
from model.systems.noisy_labels.method import step
from model.systems.noisy_labels.network import NoisyLabels, noisy_labels
from model.training.learning import Learning
from model.training.losses import NO_EMPHASIS
from model.training.step import Record, Run, make_optimiser, start_average

LEARNING = Learning(optimiser="adamw", weight_decay=0.0, learning_rate=1e-2, task_weights="equal", channels_last=False)


def _run(learning: Learning = LEARNING, *, average: bool = False, **settings: Any) -> Run:
    network = tiny_network(**settings).train()
    return Run(network, make_optimiser(network, learning), start_average(network) if average else None)


def _step(run: Run, batch: Batch, learning: Learning = LEARNING, *, seed: int = 7, rate: float = 1e-2) -> Record:
    torch.manual_seed(seed)
    return step(run, batch, learning, NO_EMPHASIS, rate=rate, steps=0)


def _weights(module: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in module.parameters()])


def _parts(run: Run) -> dict[str, Tensor]:
    network = noisy_labels(run.network)
    return {name: _weights(getattr(network, name)) for name in ("encoder", "decoder", "discriminators")}


def _changed(run: Run, before: dict[str, Tensor]) -> set[str]:
    return {name for name, weights in _parts(run).items() if not torch.equal(weights, before[name])}


def test_a_step_updates_all_networks_and_records_both_sides_of_the_game() -> None:
    run = _run()
    before = _parts(run)
    numbers = _step(run, tiny_batch())
    assert _changed(run, before) == {"encoder", "decoder", "discriminators"}
    assert set(numbers) == {
        "loss",
        "loss_va",
        "loss_expr",
        "gradient_norm",
        "loss_discriminator",
        "score_real",
        "score_fake",
        "discriminator_accuracy",
        "gradient_norm_discriminator",
    }
    assert 0 <= numbers["discriminator_accuracy"] <= 1
    assert all(parameter.requires_grad for parameter in run.network.parameters())


def test_the_adversarial_part_starts_in_its_epoch() -> None:
    run = _run(adversarial_from_epoch=1)
    before = _parts(run)
    numbers = _step(run, tiny_batch())
    assert _changed(run, before) == {"encoder"}
    assert set(numbers) == {"loss", "loss_va", "loss_expr", "gradient_norm"}
    assert numbers["loss"] == pytest.approx(numbers["loss_va"] + numbers["loss_expr"])
    run.records.append(numbers)
    _step(run, tiny_batch())
    assert _changed(run, before) == {"encoder", "decoder", "discriminators"}


def test_without_its_weight_there_is_no_adversarial_part() -> None:
    run = _run(gan_weight=0.0)
    before = _parts(run)
    assert "loss_discriminator" not in _step(run, tiny_batch())
    assert _changed(run, before) == {"encoder"}


@pytest.mark.slow
def test_discriminators_learn_to_score_the_encoders_pairs_above_the_decoders() -> None:
    run = _run(discriminator_steps=5)
    noisy_labels(run.network).encoder.requires_grad_(False)
    noisy_labels(run.network).decoder.requires_grad_(False)
    batch = tiny_batch()
    first, *_, last = (_step(run, batch) for _ in range(8))
    assert last["score_real"] - last["score_fake"] > first["score_real"] - first["score_fake"] + 1
    assert last["score_real"] > 0 > last["score_fake"]
    assert last["loss_discriminator"] < first["loss_discriminator"]
    assert last["discriminator_accuracy"] == 1.0


@pytest.mark.slow
def test_encoder_and_decoder_close_the_gap_between_fixed_discriminators_scores() -> None:
    run = _run(gan_weight=100.0)
    for _ in range(15):
        _step(run, tiny_batch())
    discriminators = noisy_labels(run.network).discriminators
    fixed = {name: value.clone() for name, value in discriminators.state_dict().items()}
    gaps = []
    for _ in range(15):
        discriminators.load_state_dict(fixed)
        numbers = _step(run, tiny_batch(), rate=1e-3)
        gaps.append(numbers["score_real"] - numbers["score_fake"])
    assert gaps[-1] < gaps[0]


@pytest.mark.parametrize("discriminator_steps", [1, 2, 3])
def test_discriminators_are_updated_as_often_as_the_settings_say_and_the_rest_once(discriminator_steps: int) -> None:
    run = _run(discriminator_steps=discriminator_steps)
    _step(run, tiny_batch())
    network = noisy_labels(run.network)
    for parts, expected in (((network.discriminators,), discriminator_steps), ((network.encoder, network.decoder), 1)):
        for part in parts:
            assert {int(run.optimiser.state[parameter]["step"]) for parameter in part.parameters()} == {expected}


def test_the_same_seed_gives_the_same_step_and_another_one_another() -> None:
    runs = [_run() for _ in range(3)]
    numbers = [_step(run, tiny_batch(), seed=seed) for run, seed in zip(runs, (7, 7, 8), strict=True)]
    assert numbers[0] == numbers[1] != numbers[2]
    assert torch.equal(_weights(runs[0].network), _weights(runs[1].network))
    assert not torch.equal(_weights(runs[0].network), _weights(runs[2].network))


def test_a_resumed_network_makes_the_same_next_step_bit_for_bit() -> None:
    learning = LEARNING.but(ema_decay=0.9)
    run = _run(learning, average=True)
    for seed in range(3):
        _step(run, tiny_batch(), learning, seed=seed)
    assert run.average is not None
    resumed = _run(learning, average=True)
    assert resumed.average is not None
    resumed.network.load_state_dict({name: value.clone() for name, value in run.network.state_dict().items()})
    resumed.average.load_state_dict({name: value.clone() for name, value in run.average.state_dict().items()})
    resumed.optimiser.load_state_dict(deepcopy(run.optimiser.state_dict()))
    assert _step(run, tiny_batch(), learning) == _step(resumed, tiny_batch(), learning)
    for one, other in ((run.network, resumed.network), (run.average, resumed.average)):
        assert all(map(torch.equal, one.state_dict().values(), other.state_dict().values()))


def test_an_average_follows_the_networks() -> None:
    learning = LEARNING.but(ema_decay=0.9)
    run = _run(learning, average=True)
    before = _weights(run.network)
    _step(run, tiny_batch(), learning)
    assert run.average is not None
    torch.testing.assert_close(_weights(run.average), before.lerp(_weights(run.network), 0.9))
    assert run.scored(tiny_batch().faces_BCHW).expression_BE.isfinite().all()


def test_long_gradients_are_shortened() -> None:
    run = _run(gan_weight=0.0)
    run.optimiser = torch.optim.SGD(run.network.parameters(), lr=1.0)
    before = _weights(run.network)
    numbers = _step(run, tiny_batch(), LEARNING.but(gradient_clip=0.01), rate=1.0)
    assert numbers["gradient_norm"] > 0.01
    assert float((_weights(run.network) - before).norm()) == pytest.approx(0.01, rel=1e-2)


def test_faces_that_are_not_finite_leave_all_weights_as_they_were() -> None:
    learning = LEARNING.but(ema_decay=0.9)
    run, batch = _run(learning, average=True), tiny_batch()
    batch.faces_BCHW[0] = nan
    before = _weights(run.network)
    numbers = _step(run, batch, learning)
    assert numbers["loss"] != numbers["loss"]
    assert torch.equal(_weights(run.network), before)
    assert run.average is not None
    assert torch.equal(_weights(run.average), before)


def test_a_discriminator_loss_that_is_not_finite_leaves_all_weights_as_they_were() -> None:
    run = _run()
    with torch.no_grad():
        noisy_labels(run.network).discriminators.joint_score.bias.fill_(nan)
    before = _weights(run.network)
    numbers = _step(run, tiny_batch())
    assert numbers["loss"] == numbers["loss"]
    assert numbers["loss_discriminator"] != numbers["loss_discriminator"]
    torch.testing.assert_close(_weights(run.network), before, rtol=0, atol=0, equal_nan=True)


def test_faces_without_labels_take_part_in_the_game_but_in_no_loss_of_labels() -> None:
    run, batch = _run(), tiny_batch()
    nothing = replace(
        batch, expression_B=torch.full_like(batch.expression_B, nan), valence_arousal_B2=torch.full((6, 2), nan)
    )
    before = _parts(run)
    numbers = _step(run, nothing)
    assert not {"loss_va", "loss_expr"} & set(numbers)
    assert all(value == value for value in numbers.values())
    assert _changed(run, before) == {"encoder", "decoder", "discriminators"}
    assert torch.equal(  # nobody looked at the labels
        noisy_labels(_run().network).discriminators.valence_arousal.first.bias,
        noisy_labels(run.network).discriminators.valence_arousal.first.bias,
    )


def test_a_missing_label_gives_its_discriminator_no_gradient() -> None:
    run, batch = _run(), tiny_batch()
    batch.expression_B.fill_(nan)
    _step(run, batch)
    discriminators = noisy_labels(run.network).discriminators
    fresh = noisy_labels(_run().network).discriminators
    assert torch.equal(_weights(discriminators.expression), _weights(fresh.expression))
    assert not torch.equal(_weights(discriminators.valence_arousal), _weights(fresh.valence_arousal))
    assert torch.equal(_weights(discriminators.scores[2]), _weights(fresh.scores[2]))


def test_a_second_label_set_counts_as_much_as_the_first() -> None:
    batch = tiny_batch()
    other_B, other_B2 = (batch.expression_B + 1) % 7, batch.valence_arousal_B2.flip(0)
    two = tiny_batch(expression_1=other_B, valence_arousal_1=other_B2)
    swapped = replace(two, expression_B=other_B, valence_arousal_B2=other_B2)
    losses = [_step(_run(gan_weight=0.0), labels) for labels in (batch, two, replace(swapped, extras={}))]
    for name in ("loss_va", "loss_expr"):
        assert losses[1][name] == pytest.approx((losses[0][name] + losses[2][name]) / 2)


def test_the_other_systems_network_and_gradient_surgery_are_refused() -> None:
    with pytest.raises(ValueError, match="expected a system whose tasks share a trunk, found NoisyLabels"):
        _step(_run(), tiny_batch(), LEARNING.but(gradient_surgery=True))
    network = MTANet(num_units=8, num_expressions=7, layers=(1, 1, 1, 1), width=8, neck=8)
    with pytest.raises(ValueError, match="system noisy_labels, found MTANet"):
        _step(Run(network, make_optimiser(network, LEARNING)), tiny_batch())


def test_its_convolutions_can_have_half_the_precision() -> None:
    numbers = _step(_run(), tiny_batch(), LEARNING.but(precision="bfloat16", channels_last=True))
    assert all(value == value for value in numbers.values())


def test_a_checkpoint_holds_every_network() -> None:
    names = {name.split(".")[0] for name in tiny_network().state_dict()}
    assert names == {"encoder", "decoder", "discriminators", "log_sigma_T"}
    assert isinstance(tiny_network(), NoisyLabels)
