"""Registers a network that was trained elsewhere, so that it predicts and is scored like the others."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from data.settings import read_toml
from data.store.access import hold
from data.store.shards import digest, file_sha256
from model.systems.onnx_file.network import load_onnx
from model.systems.onnx_file.settings import OnnxSettings
from model.training.checkpoint import MODEL, Checkpoint, save_checkpoint
from tasks.experiments import problems
from tasks.tracking import naming, registry, runs
from tasks.training.train import code_revision

VERSION = 1
"""Increased when the same file and description give another model."""
SPECS = Path(__file__).parent.parent.parent / "flows" / "specs"


def read_spec(name: str) -> OnnxSettings:
    """The description of a foreign network, by its name in `flows/specs/` or by the path of a TOML file.

    Raises:
        ValueError: There is no such file, or it has an unknown setting or an invalid value.
    """
    path = Path(name) if name.endswith(".toml") else SPECS / f"{name}.toml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in SPECS.glob("*.toml")))
        raise ValueError(f"no description '{name}': expected one of {known}, or the path of a .toml file")
    try:
        return OnnxSettings.model_validate(read_toml(path))
    except ValidationError as error:
        raise ValueError(f"{path}: {problems(error, OnnxSettings)}") from error


def register_onnx(file: Path, spec: str, store: Path, *, is_synthetic: bool = False) -> registry.Version:
    """Registers the network of an ONNX file as a version, after a trial on two faces; finds it if it is registered.

    Args:
        file: The ONNX file.
        spec: The name or the path of its description.
        store: The folder of all outputs.
        is_synthetic: Whether it was trained on rendered people.

    Raises:
        ValueError: The file or its description is missing or wrong, or they do not fit each other.
    """
    settings = read_spec(spec)
    network = load_onnx(file, settings)
    key = digest("onnx", VERSION, file_sha256(file), settings.model_dump(mode="json"), is_synthetic)
    folder, name = store / "models" / key, file.stem
    run_id = runs.finished_run(store, key)
    if run_id is None:
        tags = {
            "experiment": name,
            registry.SYSTEM: "onnx_file",
            registry.TASKS: ",".join(settings.tasks),
            "config_digest": settings.digest,
            "code_revision": code_revision(),
            "dataset": "",
            "data_digest": "",
            "edition": str(settings.edition),
        }
        with (
            hold(store, f"models-{key}", what="this model"),
            runs.open_run(
                store,
                experiment=naming.experiment_name(settings.edition, is_synthetic=is_synthetic),
                training_digest=key,
                run_name=name,
                params={"file": file.name, **settings.model_dump(mode="json")},
                tags=tags,
            ) as run_id,
        ):
            folder.mkdir(parents=True, exist_ok=True)
            checkpoint = Checkpoint(
                network=network,
                edition=settings.edition,
                system="onnx_file",
                architecture=network.settings,
                about={"file": file.name, "training_digest": key},
            )
            save_checkpoint(folder / MODEL, checkpoint)
            if runs.logged_model(store, run_id) is None:
                registry.log_model(folder / MODEL)
    known = runs.logged_model(store, run_id)
    assert known is not None, "a finished run has logged its model"
    return registry.register(store, run_id, known)
