"""How the network for expressions alone is trained."""

from __future__ import annotations

from model.systems.expr_cnn.network import ExprCnn
from model.systems.expr_cnn.settings import ExprCnnArchitecture
from model.training.step import Method, step

METHOD = Method("expr_cnn", ExprCnnArchitecture, ExprCnn, step)
