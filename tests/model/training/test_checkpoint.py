"""An incomplete or damaged checkpoint is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from data.labels import Edition
from model.systems.mtanet.settings import Architecture
from model.systems.registry import build_network, load_checkpoint
from model.training.checkpoint import Checkpoint, newest_checkpoint, save_checkpoint

TINY = Architecture(layers=(1, 1, 1, 1), width=8, neck=8)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    optimiser = {3: {"momentum_buffer": torch.arange(4.0)}, 11: {"step": torch.tensor(5.0)}}
    path = tmp_path / "epoch-0002.safetensors"
    network = build_network(Edition.ABAW_2021, TINY).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    records = ({"epoch": 0.0}, {"epoch": 1.0, "total": 0.1})
    save_checkpoint(
        path,
        Checkpoint(
            network=network,
            edition=Edition.ABAW_2021,
            system="mtanet",
            architecture=TINY,
            optimiser=optimiser,
            records=records,
            about={"seed": 7},
        ),
    )
    return path


def test_a_checkpoint_is_loaded_as_it_was_saved(saved: Path) -> None:
    before = torch.get_rng_state()
    found = load_checkpoint(saved)
    again = load_checkpoint(saved)
    assert torch.equal(torch.get_rng_state(), before)
    assert (found.edition, found.architecture, found.about) == (Edition.ABAW_2021, TINY, {"seed": 7})
    assert found.records == ({"epoch": 0.0}, {"epoch": 1.0, "total": 0.1})
    assert found.optimiser[3]["momentum_buffer"].tolist() == [0, 1, 2, 3]
    assert found.optimiser[11]["step"].item() == 5
    for name, tensor in found.network.state_dict().items():
        assert torch.equal(tensor, again.network.state_dict()[name])
    assert sorted(path.name for path in saved.parent.iterdir()) == ["epoch-0002.json", "epoch-0002.safetensors"]


def test_a_checkpoint_of_an_earlier_version_names_no_system(saved: Path) -> None:
    facts = json.loads(saved.with_suffix(".json").read_text())
    assert facts.pop("system") == "mtanet"
    saved.with_suffix(".json").write_text(json.dumps(facts))
    assert load_checkpoint(saved).architecture == TINY


def test_the_newest_complete_checkpoint_is_used(saved: Path) -> None:
    (saved.parent / "epoch-0003.safetensors").write_bytes(b"killed before the JSON was written")
    assert newest_checkpoint(saved.parent) == saved
    assert newest_checkpoint(saved.parent / "nothing") is None


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"model\.safetensors: no such checkpoint"):
        load_checkpoint(tmp_path / "model.safetensors")


def test_an_incomplete_checkpoint_is_refused(saved: Path) -> None:
    saved.write_bytes(saved.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"damaged \(expected \d+ bytes, found \d+\); delete it"):
        load_checkpoint(saved)
    saved.with_suffix(".json").unlink()
    with pytest.raises(ValueError, match=r"incomplete \(no epoch-0002\.json beside it\)"):
        load_checkpoint(saved)


def test_damaged_weights_are_refused(saved: Path) -> None:
    saved.write_bytes(b"\xff" * saved.stat().st_size)
    with pytest.raises(ValueError, match="its content has another hash than when it was written"):
        load_checkpoint(saved)


def test_a_damaged_json_is_refused(saved: Path) -> None:
    saved.with_suffix(".json").write_text("{")
    with pytest.raises(ValueError, match=r"damaged \(Expecting property name"):
        load_checkpoint(saved)


def test_an_unknown_version_is_refused(saved: Path) -> None:
    _change_json(saved, version=99)
    with pytest.raises(ValueError, match="expected version 1, found 99"):
        load_checkpoint(saved)


def test_weights_of_another_shape_are_refused(saved: Path) -> None:
    _change_json(saved, edition="2020")
    with pytest.raises(ValueError, match=r"action_units\.bias: expected shape \(8,\), found \(12,\)"):
        load_checkpoint(saved)


def _change_json(path: Path, **changes: object) -> None:
    file = path.with_suffix(".json")
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))
