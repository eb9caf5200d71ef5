from pathlib import Path

import pytest
import torch

from nnunet_paseg.errors import PasegError
from nnunet_paseg.seeds.learned import train
from nnunet_paseg.seeds.learned.layout import Layout
from nnunet_paseg.seeds.learned.parameters import TrainingParameters
from nnunet_paseg.seeds.learned.train import one_cycle, train_expander
from nnunet_paseg.seeds.learned.weights import load_expander

CPU = torch.device("cpu")
SHORT = TrainingParameters(coarse_steps=3, steps=3, batch_size=1)


@pytest.fixture(autouse=True)
def small_grids(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "COARSE", Layout(16, 3))
    monkeypatch.setattr(train, "FINE", Layout(24, 4))


def test_same_seed_same_weights_whoever_makes_the_targets(tmp_path: Path) -> None:
    files = [train_expander(tmp_path / str(n), SHORT, device=CPU, workers=n) for n in (0, 1)]
    assert files[0].read_bytes() == files[1].read_bytes()
    other = train_expander(
        tmp_path / "other", TrainingParameters(coarse_steps=3, steps=3, batch_size=1, seed=1), device=CPU, workers=0
    )
    assert other.read_bytes() != files[0].read_bytes()


@pytest.mark.parametrize("stops", [(2, 2, 2), (3, 3), (4, 2)])
def test_stopped_training_ends_with_the_same_weights(tmp_path: Path, stops: tuple[int, ...]) -> None:
    whole = train_expander(tmp_path / "whole", SHORT, device=CPU, workers=0)
    for stop in stops:
        parts = train_expander(tmp_path / "parts", SHORT, device=CPU, workers=0, stop_after=stop)
    assert parts.read_bytes() == whole.read_bytes()
    assert load_expander(parts).layout == Layout(24, 4)


def test_other_parameters_do_not_continue(tmp_path: Path) -> None:
    train_expander(tmp_path, SHORT, device=CPU, workers=0, stop_after=1)
    with pytest.raises(PasegError, match=r"contains a training with other hyper-parameters.*choose a new folder"):
        train_expander(tmp_path, TrainingParameters(coarse_steps=4), device=CPU, workers=0)


def test_learning_rate_rises_and_falls() -> None:
    rates = [one_cycle(step / 100) for step in range(100)]
    assert max(rates) == rates[10]
    assert rates[0] < 0.05
    assert rates[-1] < 0.01


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from nnunet_paseg.cli import main

    options = ["--coarse-steps", "1", "--steps", "1", "--batch-size", "1", "--workers", "0"]
    assert main(["train-expander", str(tmp_path / "mine"), *options]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "mine" / "expander.pt")
    assert load_expander(tmp_path / "mine" / "expander.pt").layout == Layout(24, 4)
    assert main(["train-expander", str(tmp_path), "--steps", "0"]) == 2
    assert "at least one step" in capsys.readouterr().err
    assert main(["train-expander", str(tmp_path), "--device", "tpu"]) == 2
    assert "choose cpu or cuda" in capsys.readouterr().err


def test_weights_are_the_averaged_ones_with_the_corrected_logits(tmp_path: Path) -> None:
    file = train_expander(tmp_path, SHORT, device=CPU, workers=0)
    average = torch.load(tmp_path / "checkpoint.pt", weights_only=True)["average"]
    found = load_expander(file).network.state_dict()
    for name, value in found.items():
        expected = average[f"module.{name}"] + (train.LOGIT_BIAS if name == "logit.bias" else 0)
        assert torch.equal(value, expected.half().float()), name
