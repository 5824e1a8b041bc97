"""Predictions from points that were found before. Letters: N faces, P points."""

from __future__ import annotations

import numpy as np
import torch

from data.labels import Edition
from model.answers import answered
from model.inference import COLUMNS, Predictions
from model.systems.geometry_pls.network import GeometryPls
from model.systems.geometry_pls.shape import Floats


def predict_points(network: GeometryPls, points_NP3: Floats, edition: Edition) -> Predictions:
    """All columns of predictions; NaN for what the network does not answer, and where there is no face."""
    found = answered(network.answer_points(torch.from_numpy(points_NP3)), edition, network.tasks)
    missing = {name: np.full(len(points_NP3), np.nan, dtype=np.float32) for name in COLUMNS}
    return {**missing, **{name: values_N.cpu().numpy() for name, values_N in found.items()}}
