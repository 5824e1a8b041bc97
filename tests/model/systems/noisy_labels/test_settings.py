"""The published sizes, and that settings need no torch."""

from __future__ import annotations

import subprocess
import sys

from model.systems.noisy_labels.settings import NoisyLabelsArchitecture


def test_the_defaults_are_the_published_ones() -> None:
    settings = NoisyLabelsArchitecture()
    assert (settings.side_px, settings.latent, settings.features) == (64, 100, 512)
    assert (settings.discriminator_steps, settings.gan_weight, settings.adversarial_from_epoch) == (2, 1.0, 5)


def test_the_settings_are_read_without_torch() -> None:
    code = "import sys, model.systems.noisy_labels.settings; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
