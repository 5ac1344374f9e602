"""Checkpoints: everything comes back exactly, and what does not fit is refused."""

import json
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from pinfold.artifacts import writing
from pinfold.errors import ArtifactError, TrainingError
from pinfold.training.checkpoint import KIND, State, load_checkpoint, parameters, save_checkpoint


def trained(steps: int = 3, size: int = 4) -> tuple[nn.Module, torch.optim.Optimizer]:
    """A small module and its optimizer after some steps."""
    torch.manual_seed(steps)
    module = nn.Linear(size, 2)
    optimizer = torch.optim.Adam(module.parameters(), lr=0.1, fused=True)
    for _ in range(steps):
        optimizer.zero_grad()
        module(torch.ones(3, size)).square().sum().backward()
        optimizer.step()
    return module, optimizer


def some_state(module: nn.Module) -> State:
    best = {name: tensor.detach() + 1 for name, tensor in module.state_dict().items()}
    history = [
        {"epoch": 1, "loss": 0.1 + 0.2, "seconds": 0.5},
        {"epoch": 2, "loss": 1 / 3, "seconds": 0.25, "score": 0.7},
    ]
    return State(epoch=2, best_epoch=2, best_score=0.7, stale=3, seconds=0.75, history=history, best=best)


def test_everything_comes_back_exactly(tmp_path: Path) -> None:
    module, optimizer = trained()
    state = some_state(module)
    save_checkpoint(tmp_path / "c", "run 1", state, module, optimizer)
    other, other_optimizer = trained(steps=1)
    found = load_checkpoint(tmp_path / "c", "run 1", other, other_optimizer)

    for name in ("epoch", "best_epoch", "best_score", "stale", "seconds", "history"):
        assert getattr(found, name) == getattr(state, name)
    assert found.best.keys() == state.best.keys()
    assert all(torch.equal(found.best[name], tensor) for name, tensor in state.best.items())
    assert all(torch.equal(other.state_dict()[name], tensor) for name, tensor in module.state_dict().items())
    for number, moments in optimizer.state_dict()["state"].items():
        restored = other_optimizer.state_dict()["state"][number]
        assert restored.keys() == moments.keys()
        assert all(torch.equal(restored[name], value) for name, value in moments.items())
        assert all(restored[name].dtype == value.dtype for name, value in moments.items())


def test_before_the_first_look(tmp_path: Path) -> None:
    module, optimizer = trained()
    save_checkpoint(tmp_path / "c", "run", State(epoch=1), module, optimizer)
    found = load_checkpoint(tmp_path / "c", "run", *trained())
    assert found.best == {}
    assert found.best_score == -math.inf


def test_no_checkpoint_is_a_fresh_start(tmp_path: Path) -> None:
    module, optimizer = trained()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    assert load_checkpoint(tmp_path / "none", "run", module, optimizer) == State()
    assert all(torch.equal(module.state_dict()[name], tensor) for name, tensor in before.items())


def test_a_later_checkpoint_replaces_the_earlier(tmp_path: Path) -> None:
    for steps in (1, 2):
        save_checkpoint(tmp_path / "c", "run", State(epoch=steps), *trained(steps))
    module, optimizer = trained(5)
    assert load_checkpoint(tmp_path / "c", "run", module, optimizer).epoch == 2
    assert torch.equal(module.state_dict()["weight"], trained(2)[0].state_dict()["weight"])
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_nothing_is_pickled(tmp_path: Path) -> None:
    module, optimizer = trained()
    save_checkpoint(tmp_path / "c", "run", some_state(module), module, optimizer)
    names = sorted(path.name for path in (tmp_path / "c").iterdir())
    assert names == ["manifest.json", "state.json", "tensors.safetensors"]
    json.loads((tmp_path / "c" / "state.json").read_text())
    assert {name.split(".")[0] for name in load_file(tmp_path / "c" / "tensors.safetensors")} == {"now", "best", "adam"}


def test_another_run_is_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "c", "run 1", State(epoch=1), *trained())
    with pytest.raises(TrainingError, match=r"c: is the checkpoint of another run .* remove it"):
        load_checkpoint(tmp_path / "c", "run 2", *trained())


@pytest.mark.parametrize("name", ["tensors.safetensors", "state.json", "manifest.json"])
@pytest.mark.parametrize("damage", ["cut", "bit"])
def test_damage_names_the_file(tmp_path: Path, name: str, damage: str) -> None:
    save_checkpoint(tmp_path / "c", "run", State(epoch=1), *trained())
    path = tmp_path / "c" / name
    content = bytearray(path.read_bytes())
    if damage == "cut":
        content = content[: len(content) // 2]
    else:
        content[len(content) // 2] ^= 0x80
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=name if name != "manifest.json" else "c/"):
        load_checkpoint(tmp_path / "c", "run", *trained())


@pytest.mark.parametrize(
    "state",
    [
        {"run": "run"},
        {"run": "run", "state": {"epoch": 1}},
        {"run": "run", "state": {"epoch": 1, "best_score": None, "surprise": 1}},
        {"run": "run", "state": 7},
    ],
)
def test_a_whole_folder_with_the_wrong_content_is_damaged(tmp_path: Path, state: dict[str, object]) -> None:
    with writing(tmp_path / "c", KIND) as folder:
        save_file({}, folder.path("tensors.safetensors"))
        folder.json("state.json", state)
    with pytest.raises(ArtifactError, match="c: is damaged"):
        load_checkpoint(tmp_path / "c", "run", *trained())


def test_another_shape_is_damaged(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "c", "run", State(epoch=1), *trained())
    with pytest.raises(ArtifactError, match="c: is damaged"):
        load_checkpoint(tmp_path / "c", "run", *trained(size=5))


def test_saving_copies_no_tensor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: torch.Tensor, memo: object) -> torch.Tensor:
        raise AssertionError("a tensor was copied")

    monkeypatch.setattr(torch.Tensor, "__deepcopy__", refuse)
    module, optimizer = trained()
    save_checkpoint(tmp_path / "c", "run", some_state(module), module, optimizer)


def test_parameters_by_name() -> None:
    module, _ = trained()
    found = parameters(module)
    assert {name: array.shape for name, array in found.items()} == {"weight": (2, 4), "bias": (2,)}
