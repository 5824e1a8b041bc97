"""The model as others use it: faces in, named columns out, with only the wheel of mtanet installed."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import simplejpeg
import torch
from numpy.typing import NDArray
from support.little_store import write_track

from data.labels import EXPRESSIONS, Edition, action_unit_columns
from flows.servers.environment import free_port, wait_for
from model.inference import predict
from model.serving import BATCH_SIZE, _load_pyfunc, example_faces, load_model
from model.systems.mtanet.settings import Architecture
from model.systems.registry import build_network, load_checkpoint
from model.training.checkpoint import Checkpoint, save_checkpoint
from tasks.tracking import registry, runs

# MLflow 3.17 warns about its own annotations while `mlflow.pyfunc` is imported, which logging a model does.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning")]

ROOT = Path(__file__).parents[2]
EDITION = Edition.ABAW_2020
COLUMNS = ["valence", "arousal", "expression", *(f"p_{name}" for name in EXPRESSIONS[EDITION])]
COLUMNS += action_unit_columns(EDITION)


def picture(seed: int, size_px: int = 112) -> NDArray[np.uint8]:
    """Colours that change within a JPEG block, where decoders would differ."""
    coarse_HWC = np.random.default_rng(seed).integers(0, 256, (size_px // 4, size_px // 4, 3), dtype=np.uint8)
    return coarse_HWC.repeat(4, 0).repeat(4, 1)


def crop(seed: int) -> bytes:
    """A JPEG like the crops in shards: quality 95, chroma at half resolution."""
    return bytes(simplejpeg.encode_jpeg(picture(seed), 95, "RGB", "420"))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    architecture = Architecture(layers=(1, 1, 1, 1), width=8, neck=8)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        network = build_network(EDITION, architecture)
    path = tmp_path_factory.mktemp("training") / "model.safetensors"
    save_checkpoint(path, Checkpoint(network=network, edition=EDITION, system="mtanet", architecture=architecture))
    return path


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, mlflow_database: Path, checkpoint: Path) -> Iterator[Path]:
    """A store whose champion is the checkpoint."""
    store = tmp_path_factory.mktemp("store")
    (store / "mlflow.db").write_bytes(mlflow_database.read_bytes())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "SERVER", "")
        with runs.open_run(
            store, experiment="synthetic-2020", training_digest="d1", run_name="tiny", params={}, tags={}
        ) as run_id:
            model_uri = registry.log_model(checkpoint)
        registry.promote(store, registry.register(store, run_id, model_uri))
        yield store


def test_served_faces_get_the_predictions_of_a_shard(tmp_path: Path, checkpoint: Path) -> None:
    crops = {frame_index: crop(frame_index) for frame_index in range(BATCH_SIZE + 3)}
    faces_file = write_track(tmp_path, "a", len(crops), crops=crops)
    _, expected = predict(load_checkpoint(checkpoint).network, faces_file, EDITION)
    jpegs = pq.read_table(faces_file, columns=["face_jpeg"])["face_jpeg"].to_pylist()
    found = load_model(checkpoint).predict(pd.DataFrame({"face": jpegs}, index=range(100, 100 + len(jpegs))))
    assert list(found.columns) == COLUMNS
    assert found.index.tolist() == list(range(100, 100 + len(jpegs)))
    names = [EXPRESSIONS[EDITION][int(number)] for number in expected["expression"]]
    assert found["expression"].tolist() == names
    assert len(set(names)) > 1 or expected["valence"].std() > 1e-4, "the network predicts the same for every face"
    for name in (column for column in COLUMNS if column != "expression"):
        np.testing.assert_allclose(found[name], expected[name], atol=1e-6)


def test_an_array_is_predicted_as_the_jpeg_it_was(checkpoint: Path) -> None:
    model, jpegs = load_model(checkpoint), [crop(1), crop(2)]
    decoded = [simplejpeg.decode_jpeg(jpeg) for jpeg in jpegs]
    expected = model.predict(pd.DataFrame({"face": jpegs}))
    for kind in (np.uint8, np.int64):
        arrays = pd.DataFrame({"face": [face_HWC.astype(kind) for face_HWC in decoded]})
        pd.testing.assert_frame_equal(model.predict(arrays), expected)


def test_serving_ignores_a_temporal_head_beside_the_network(checkpoint: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(checkpoint.parent, tmp_path / "weights"))
    (folder / "temporal.safetensors").write_bytes(b"a head")
    faces = example_faces()
    pd.testing.assert_frame_equal(_load_pyfunc(str(folder)).predict(faces), load_model(checkpoint).predict(faces))


@pytest.mark.parametrize(
    ("faces", "message"),
    [
        ([crop(0), b"GIF89a"], "row 1: not a JPEG: "),
        (
            [simplejpeg.encode_jpeg(picture(0, 96))],
            r"row 0: expected .* \(112, 112, 3\), found .* \(96, 96, 3\)",
        ),
        (
            [np.zeros((112, 112, 3), np.float32)],
            "row 0: expected a JPEG or an array of integers 0 to 255, .* found float32",
        ),
        ([np.full((112, 112, 3), 256)], "row 0: expected a JPEG or an array of integers 0 to 255"),
        ([None], "row 0: expected a JPEG .* found object"),
        ([], "no faces: expected at least one row in the column 'face'"),
    ],
)
def test_an_invalid_face_is_refused_with_its_row(checkpoint: Path, faces: list[object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_model(checkpoint).predict(pd.DataFrame({"face": pd.Series(faces, dtype=object)}))


def test_a_logged_model_holds_weights_but_no_code_no_path_and_no_face(store: Path) -> None:
    (model,) = store.glob("mlflow/models/*/artifacts")
    files = {path.relative_to(model).as_posix() for path in model.rglob("*") if path.is_file()}
    described = {"MLmodel", "conda.yaml", "python_env.yaml", "requirements.txt"}
    examples = {"input_example.json", "serving_input_example.json"}
    assert files - {"registered_model_meta"} == described | examples | {
        "data/weights/model.safetensors",
        "data/weights/model.json",
    }
    texts = {name: (model / name).read_text() for name in files if not name.endswith(".safetensors")}
    # MLflow itself writes the model's path there; loading does not read it.
    texts["MLmodel"] = re.sub(r"^artifact_path: .*$", "", texts["MLmodel"], flags=re.MULTILINE)
    assert [name for name, text in texts.items() if str(ROOT) in text or str(store) in text] == []
    requirements = (model / "requirements.txt").read_text().split()
    assert {requirement.partition("==")[0] for requirement in requirements} >= {"mtanet", "mlflow", "torch"}
    assert not any("+" in requirement for requirement in requirements)


def test_a_version_without_weights_is_named(store: Path) -> None:
    with pytest.raises(ValueError, match=r"mtanet v9 has no weights in MLflow .*; train it again"):
        registry.checkpoint_folder(store, registry.Version(9, "r", (), {}))


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with mtanet's wheel; its dependencies come from this one, its source does not."""
    folder = tmp_path_factory.mktemp("elsewhere")
    source, env = folder / "source", folder / "env"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, source)
    for package in ("data", "flows", "model", "tasks"):
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    run([sys.executable, "-m", "venv", "--without-pip", str(env)])
    python = env / "bin" / "python"
    offline = ["--no-deps", "--no-index", "--quiet"]
    run([sys.executable, "-m", "pip", "wheel", *offline, "--no-build-isolation", "-w", str(folder), str(source)])
    (wheel,) = folder.glob("*.whl")
    shutil.rmtree(source)
    run([sys.executable, "-m", "pip", f"--python={python}", "install", *offline, str(wheel)])
    (own,) = env.glob("lib/python*/site-packages")
    # Python searches a folder named in a .pth file but ignores .pth files in it, such as that of an editable install.
    (own / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    uvicorn = env / "bin" / "uvicorn"
    uvicorn.write_text(f"#!{python}\nfrom uvicorn.main import main\nmain()\n")
    uvicorn.chmod(0o755)
    return python


def run(command: list[str], **options: object) -> str:
    done = subprocess.run(command, capture_output=True, text=True, **options)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stderr
    return str(done.stdout)


def environment(python: Path, store: Path) -> dict[str, str]:
    """A clean shell environment: no settings of Python, MLflow or Prefect, except the address of the models."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "MLFLOW", "PREFECT"))
    }
    path = f"{python.parent}{os.pathsep}{os.environ['PATH']}"
    uri = f"sqlite:///{store}/mlflow.db"
    return {**inherited, "PATH": path, "MLFLOW_TRACKING_URI": uri, "DO_NOT_TRACK": "1", "OMP_NUM_THREADS": "1"}


LOAD_AND_PREDICT = """
import json, sys
import mlflow, pandas, simplejpeg
model = mlflow.pyfunc.load_model("models:/mtanet@champion")
faces = [open(path, "rb").read() for path in sys.argv[1:]]
said = model.predict(pandas.DataFrame({"face": faces}))
of_arrays = model.predict({"face": [simplejpeg.decode_jpeg(face) for face in faces]})
signature = model.metadata.signature
columns = {"in": signature.inputs.input_names(), "out": signature.outputs.input_names()}
ours = sorted(module.__file__ for name, module in sys.modules.items()
              if name.split(".")[0] in ("data", "model", "tasks", "flows") and module.__file__)
answers = {"said": said.to_dict("list"), "of_arrays": of_arrays.to_dict("list"), "columns": columns}
print(json.dumps({**answers, "files": ours, "path": sys.path}))
"""


def test_the_champion_loads_where_only_the_wheel_is_installed(
    elsewhere: Path, store: Path, checkpoint: Path, tmp_path: Path
) -> None:
    jpegs = [crop(1), crop(2)]
    paths = [tmp_path / f"{number}.jpg" for number in range(len(jpegs))]
    for path, jpeg in zip(paths, jpegs, strict=True):
        path.write_bytes(jpeg)
    command = [str(elsewhere), "-c", LOAD_AND_PREDICT, *map(str, paths)]
    answer = json.loads(run(command, cwd=tmp_path, env=environment(elsewhere, store)))
    assert str(ROOT) not in answer["path"]
    assert answer["files"]
    assert all(Path(file).is_relative_to(elsewhere.parent.parent) for file in answer["files"])
    expected = load_model(checkpoint).predict(pd.DataFrame({"face": jpegs}))
    pd.testing.assert_frame_equal(pd.DataFrame(answer["said"]), expected, check_dtype=False, atol=1e-6)
    pd.testing.assert_frame_equal(pd.DataFrame(answer["of_arrays"]), expected, check_dtype=False, atol=1e-2)
    assert answer["columns"] == {"in": ["face"], "out": COLUMNS}


@pytest.fixture
def server(elsewhere: Path, store: Path, tmp_path: Path) -> Iterator[str]:
    """The address of `mlflow models serve`."""
    port = free_port()
    command = [str(elsewhere), "-m", "mlflow", "models", "serve", "--model-uri", "models:/mtanet@champion"]
    command += ["--env-manager", "local", "--port", str(port)]
    with (tmp_path / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=tmp_path, env=environment(elsewhere, store), stdout=log, stderr=log, start_new_session=True
        )
    try:
        wait_for(f"http://127.0.0.1:{port}/ping", process=process, timeout_s=120)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, 9)
        process.wait()


def test_a_crop_sent_over_http_comes_back_as_named_columns(server: str, checkpoint: Path) -> None:
    faces = [{"face": base64.b64encode(crop(seed)).decode()} for seed in (1, 2)]
    answer = httpx.post(f"{server}/invocations", json={"dataframe_records": faces}, timeout=60)
    assert answer.status_code == 200, answer.text
    rows = answer.json()["predictions"]
    assert [list(row) for row in rows] == [COLUMNS, COLUMNS]
    expected = load_model(checkpoint).predict(pd.DataFrame({"face": [crop(1), crop(2)]}))
    pd.testing.assert_frame_equal(pd.DataFrame(rows), expected, check_dtype=False, atol=1e-6)
    refused = httpx.post(f"{server}/invocations", json={"dataframe_records": [{"face": "R0lG"}]}, timeout=60)
    assert refused.status_code == 400
    assert "row 0: not a JPEG" in refused.text
