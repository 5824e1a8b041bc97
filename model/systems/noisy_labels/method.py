"""One training step: updates the discriminators a few times, then encoder and decoder once.

One optimiser holds all parameters and leaves those without a gradient unchanged. In each update, therefore, only the
networks whose turn it is have one.

Letters: B faces of this process, C channels, H height, W width, E expressions, S the five scores.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from data.batches.batch import Batch
from model.systems.noisy_labels.collapse import collapsed
from model.systems.noisy_labels.encoder import Code, draw_latent
from model.systems.noisy_labels.losses import discriminator_loss, encoder_decoder_loss, label_losses
from model.systems.noisy_labels.network import NoisyLabels, noisy_labels
from model.systems.noisy_labels.pairs import LabelSet, Pairs, draw_labels, has_score, known_to_any, label_sets
from model.systems.noisy_labels.settings import NoisyLabelsArchitecture
from model.training.distributed import all_gather_outputs, average, average_gradients, rank, world_size
from model.training.learning import Learning
from model.training.losses import Emphasis, weighted_losses
from model.training.step import Method, Record, Run, memory_format, update_average
from model.training.surgery import shared_weights


def step(run: Run, batch: Batch, learning: Learning, emphasis: Emphasis, *, rate: float, steps: int) -> Record:
    """Updates the networks from a batch, unless a loss or the gradient is not finite.

    The loss of the labels is checked before any update, that of the discriminators before theirs, and that of encoder
    and decoder last: only if this alone fails, the discriminators of the same step are already updated.

    The adversarial part starts in the epoch that the settings say; `run.records` has one record per earlier epoch.
    `steps` is the number of earlier steps. The discriminators and the decoder are computed in float32, whatever the
    precision.

    Returns the total loss, each task's loss and the norm of the gradient of encoder and decoder. With the adversarial
    part also, as the last update of the discriminators saw them: `loss_discriminator`, the mean sums of the scores
    `score_real` and `score_fake`, and `discriminator_accuracy`, the share of pairs with a sum on the right side of 0.

    Raises:
        ValueError: The network is that of another system, or `learning` asks for gradient surgery.
    """
    network = noisy_labels(run.network)
    if learning.gradient_surgery:
        shared_weights(network)  # it has none
    for group in run.optimiser.param_groups:
        group["lr"] = rate
    faces_BCHW = network.shrunk(batch.faces_BCHW).contiguous(memory_format=memory_format(learning))
    code = _encoded(network, faces_BCHW, learning)
    sets = label_sets(batch)
    losses = label_losses(all_gather_outputs(network.outputs(code)), sets, emphasis)
    weighted = weighted_losses(losses, network.log_sigma_T, learning.task_weights)
    total = sum(weighted.values(), start=network.log_sigma_T.sum() * 0)
    shown = {f"loss_{task}": loss for task, loss in losses.items()}
    game: Record = {}
    if network.settings.gan_weight and len(run.records) >= network.settings.adversarial_from_epoch:
        before = _numbers({"loss": total, **shown})
        if not _finite(before):
            return before
        real, fake, weight_BS = _pairs(network, faces_BCHW, code, sets)
        for _ in range(network.settings.discriminator_steps):
            game = _update_discriminators(run, learning, real.detached().and_then(fake.detached()), weight_BS)
            if not _finite(game):
                return before | game
        network.discriminators.requires_grad_(False)
        scores_BS = network.discriminators(real.and_then(fake))
        network.discriminators.requires_grad_(True)
        real_BS, fake_BS = scores_BS.chunk(2)
        total = total + network.settings.gan_weight * encoder_decoder_loss(real_BS, fake_BS, weight_BS)
    numbers = _update(run, learning, total, {"loss": total, **shown}, "gradient_norm") | game
    if run.average is not None and _finite(numbers):
        update_average(run.average, network, decay=learning.ema_decay, steps=steps)
    return numbers


def _encoded(network: NoisyLabels, faces_BCHW: Tensor, learning: Learning) -> Code:
    """The code in float32, whatever the precision of the convolutions."""
    with torch.autocast(faces_BCHW.device.type, torch.bfloat16, enabled=learning.precision == "bfloat16"):
        code: Code = network.encoder(faces_BCHW)
    return code.float()


def _pairs(
    network: NoisyLabels, faces_BCHW: Tensor, code: Code, sets: Sequence[LabelSet]
) -> tuple[Pairs, Pairs, Tensor]:
    """Real pairs, fake pairs and `weight_BS`. `sets` are of the whole batch, the rest of this process's part.

    The decoder gets zeros for a label that no set has; every face has one real and one fake pair.
    """
    known_B2 = known_to_any(sets)
    counted_BS = has_score(known_B2).to(faces_BCHW.dtype)
    weight_BS = _mine(counted_BS / counted_BS.sum()) * world_size()  # processes are averaged
    known_B2 = _mine(known_B2)
    drawn = draw_labels([LabelSet(_mine(one.expression_B), _mine(one.valence_arousal_B2)) for one in sets])
    expression_BE = functional.one_hot(drawn.expression_B.nan_to_num().long(), network.num_expressions)
    expression_BE = expression_BE * known_B2[:, :1].to(faces_BCHW.dtype)
    valence_arousal_B2 = torch.where(known_B2[:, 1:], drawn.valence_arousal_B2, 0.0)
    latent_BZ = torch.randn_like(code.latent_mean_BZ)
    decoded_BCHW = network.decoder(latent_BZ, expression_BE, valence_arousal_B2)
    return (
        Pairs(faces_BCHW, draw_latent(code), code.expression_BE, code.valence_arousal_B2, known_B2),
        Pairs(decoded_BCHW, latent_BZ, expression_BE, valence_arousal_B2, known_B2),
        weight_BS,
    )


def _mine(whole_B: Tensor) -> Tensor:
    """This process's part of the whole batch."""
    return whole_B.chunk(world_size())[rank()]


def _update_discriminators(run: Run, learning: Learning, pairs: Pairs, weight_BS: Tensor) -> Record:
    """`pairs` are the real ones, then as many fake ones, without a way back for gradients."""
    real_BS, fake_BS = noisy_labels(run.network).discriminators(pairs).chunk(2)
    loss = discriminator_loss(real_BS, fake_BS, weight_BS)
    real_B, fake_B = ((scores_BS * (weight_BS > 0)).sum(1) for scores_BS in (real_BS, fake_BS))
    shown = {
        "loss_discriminator": loss,
        "score_real": real_B.mean(),
        "score_fake": fake_B.mean(),
        "discriminator_accuracy": torch.cat([real_B > 0, fake_B < 0]).to(loss.dtype).mean(),
    }
    return _update(run, learning, loss, shown, "gradient_norm_discriminator")


def _update(run: Run, learning: Learning, loss: Tensor, shown: Mapping[str, Tensor], norm_name: str) -> Record:
    """Updates the networks that the loss depends on; returns what is shown and the norm of the gradient."""
    run.optimiser.zero_grad()
    torch.autograd.backward(loss)
    average_gradients(run.network)
    parameters = [parameter for parameter in run.network.parameters() if parameter.grad is not None]
    norm = get_total_norm([parameter.grad for parameter in parameters if parameter.grad is not None])
    numbers = _numbers({**shown, norm_name: norm})
    if _finite(numbers):
        if learning.gradient_clip:
            clip_grads_with_norm_(parameters, learning.gradient_clip, norm)
        run.optimiser.step()
    return numbers


def _numbers(values: Mapping[str, Tensor]) -> Record:
    """The values as floats, averaged over the processes, so that all of them decide the same."""
    (mean,) = average([torch.stack([value.detach() for value in values.values()])])
    return dict(zip(values, mean.tolist(), strict=True))


def _finite(numbers: Record) -> bool:
    return all(map(math.isfinite, numbers.values()))


METHOD = Method("noisy_labels", NoisyLabelsArchitecture, NoisyLabels, step, records_passes=False, warning=collapsed)
