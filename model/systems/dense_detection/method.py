"""How MTANet with a detector is trained."""

from __future__ import annotations

from data.batches.augment import LANDMARKS
from data.batches.batch import Batch
from model.systems.dense_detection.network import DenseDetection
from model.systems.dense_detection.settings import DenseDetectionArchitecture
from model.systems.dense_detection.windows import window_loss, window_targets
from model.training.distributed import all_gather_outputs, all_gather_with_gradient
from model.training.learning import Learning
from model.training.losses import Emphasis, task_losses
from model.training.step import Method, Record, Run, descend, in_float32, memory_format, precision


def step(run: Run, batch: Batch, learning: Learning, emphasis: Emphasis, *, rate: float, steps: int) -> Record:
    """As `model.training.step.step`, with the detector's loss, `loss_windows`."""
    network = run.network
    assert isinstance(network, DenseDetection), "the loop trains the network that the method built"
    faces_BCHW = batch.faces_BCHW.contiguous(memory_format=memory_format(learning))
    with precision(learning, faces_BCHW.device.type):
        outputs, logits_BPGG = network.with_windows(faces_BCHW)
    losses = task_losses(all_gather_outputs(in_float32(outputs)), batch, emphasis)
    targets_BPGG = window_targets(batch.extras[LANDMARKS], batch.action_units_BU, network.units, network.window_px)
    found = window_loss(all_gather_with_gradient(logits_BPGG.float()), targets_BPGG)
    others = {"windows": network.window_weight * found} if found is not None else {}
    return descend(run, losses, learning, rate=rate, steps=steps, others=others)


METHOD = Method("dense_detection", DenseDetectionArchitecture, DenseDetection, step, records_passes=False)
