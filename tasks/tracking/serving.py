"""The model as MLflow keeps it: weights, and the name of the module in the installed mtanet that reads faces with them.

No code and no pickle travels with it, and no picture of anybody.
"""

from __future__ import annotations

import shutil
import tempfile
from importlib.metadata import version as version_of
from pathlib import Path

import mlflow
from mlflow.models import infer_signature

from model import serving
from model.finished import FILES
from tasks.tracking.registry import NAME, WEIGHTS

PACKAGES = ("mlflow", "mtanet", "numpy", "pandas", "simplejpeg", "torch")
"""What the served model imports, by name: its requirements are these as they are installed here."""


def log_model(checkpoint: Path) -> str:
    """Logs the model of a checkpoint to the open run, with signature, example and requirements; gives its address.

    A head over time and what was fitted go with it: faces one by one are answered without them.
    """
    model = serving.load_model(checkpoint)
    example = serving.example_faces()
    with tempfile.TemporaryDirectory() as aside:
        folder = Path(aside) / WEIGHTS
        folder.mkdir()
        for name in FILES:
            if (checkpoint.parent / name).is_file():
                shutil.copy(checkpoint.parent / name, folder)
        info = mlflow.pyfunc.log_model(
            name=NAME,
            loader_module=serving.__name__,
            data_path=str(folder),
            input_example=example,
            signature=infer_signature(example, model.predict(example)),
            pip_requirements=[f"{name}=={version_of(name).partition('+')[0]}" for name in PACKAGES],
            metadata={"edition": str(model.edition)},
        )
    return str(info.model_uri)
