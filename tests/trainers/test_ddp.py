"""Training on two GPUs as ``nnUNetv2_train -num_gpus 2`` does it, by two processes on the CPU."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from nnunetv2.training.loss.deep_supervision import DeepSupervisionWrapper

from nnunet_paseg.trainers import calibration, precision, trainer_class
from tests.trainers.conftest import DATASET, PLANS
from tests.trainers.ddp_worker import states
from tests.trainers.test_stage1 import batch_of

TRAINERS = ("PASegStage1Trainer", "PASegStage1AuxTrainer", "PASegStage2Trainer")
TEN_STEPS = ("PASegStage1Trainer", "PASegStage1Trainer_paper")


@pytest.fixture(scope="module")
def ddp(workspace, tmp_path_factory):
    """What both ranks found, and the same steps of one process on the whole batch."""
    folder = tmp_path_factory.mktemp("ddp")
    with pytest.MonkeyPatch.context() as patch:
        environment = {
            **workspace.environment(),
            "nnUNet_results": str(folder / "results"),
            "PYTHONPATH": str(Path(__file__).parents[2]),
        }
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.setattr(calibration, "MAX_CASES", 2)  # as in the worker
        patch.setattr(precision, "fast_bfloat16", lambda _: False)  # as in the worker
        data = workspace.preprocessed / DATASET
        plans = json.loads((data / f"{PLANS}.json").read_text(encoding="utf-8"))
        # The Dice of the whole batch, for which nnU-Net gathers over the GPUs.
        plans["configurations"]["3d_fullres"]["batch_dice"] = True
        dataset_json = json.loads((data / "dataset.json").read_text(encoding="utf-8"))

        def make(name):
            torch.manual_seed(0)
            trainer = trainer_class(name)(
                {**plans, "continue_training": False}, "3d_fullres", 0, dataset_json, torch.device("cpu")
            )
            trainer.initialize()
            return trainer

        batch = {}
        alone = {}
        for name in TRAINERS:
            trainer = make(name)
            if not batch:
                batch = batch_of(trainer)
                # The second sample is the first in a mirror, with another class: as many labelled voxels, and similar
                # pairs, but a Dice that depends on both.
                batch["data"][0, ..., :4], batch["target"][0][0, ..., :4] = 0, 4  # padding on whole coarse voxels
                batch["data"][1] = batch["data"][0].flip(-1)
                for target in batch["target"]:
                    target[target == 2] = 1
                    target[1] = target[0].flip(-1)
                    target[1][target[1] == 1] = 2
            if name == "PASegStage2Trainer":
                trainer.load_stage1()
            else:
                trainer.save_checkpoint(f"{trainer.output_folder}/checkpoint_final.pth")
            before = states(trainer)
            trainer.on_train_epoch_start()
            wrapper = next(part for part in trainer.loss.modules() if isinstance(part, DeepSupervisionWrapper))
            # With DDP nnU-Net gives the coarsest output 1e-6 instead of nothing.
            wrapper.weight_factors = (*wrapper.weight_factors[:-1], 1e-6)
            terms = trainer.train_step({"data": batch["data"].clone(), "target": [t.clone() for t in batch["target"]]})
            alone[name] = {"before": before, "after": states(trainer), "terms": terms}
        torch.save(
            {
                "trainers": TRAINERS[::2],
                "ten_steps": TEN_STEPS,
                "plans": plans,
                "dataset_json": dataset_json,
                "batch": batch,
            },
            folder / "arguments.pt",
        )
        worker = str(Path(__file__).with_name("ddp_worker.py"))
        processes = [
            subprocess.Popen(
                [sys.executable, worker, str(rank), str(folder)],
                env=dict(os.environ),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                encoding="utf-8",
            )
            for rank in range(2)
        ]
        output = [process.communicate(timeout=300)[0] for process in processes]
        assert [process.returncode for process in processes] == [0, 0], "\n".join(part[-3000:] for part in output)
    ranks = [torch.load(folder / f"rank_{rank}.pt", weights_only=False) for rank in range(2)]
    return alone, ranks, folder / "results" / DATASET


def assert_close(first, second, **tolerance):
    for a, b in zip(first, second, strict=True):
        assert list(a) == list(b)
        for name in a:
            torch.testing.assert_close(a[name], b[name], msg=lambda text, name=name: f"{name}: {text}", **tolerance)


@pytest.mark.parametrize("name", TRAINERS[::2])
def test_half_batches_teach_what_the_whole_batch_teaches(ddp, name):
    alone, ranks, _ = ddp
    one = alone[name]
    for rank in ranks:
        assert rank[name]["batch_size"] == 1
        assert_close(rank[name]["before"], one["before"], rtol=0, atol=0)
        moved = [
            {key: after[key] - before[key] for key in after}
            for before, after in zip(one["before"], one["after"], strict=True)
        ]
        largest = max(float(change.abs().max()) for network in moved for change in network.values())
        assert largest > 1e-3
        # A teacher may decide one voxel in 32768 otherwise when it sees one sample at a time.
        tolerance = {"PASegStage1Trainer": 1e-4, "PASegStage2Trainer": 1e-3}[name]
        assert_close(rank[name]["after"], one["after"], rtol=0, atol=tolerance * largest)
    assert_close(ranks[0][name]["after"], ranks[1][name]["after"], rtol=0, atol=0)


@pytest.mark.parametrize("name", TRAINERS[::2])
def test_the_terms_are_those_of_the_whole_batch(ddp, name):
    alone, ranks, _ = ddp
    for term, value in alone[name]["terms"].items():
        mean = sum(rank[name]["terms"][term] for rank in ranks) / 2
        assert mean == pytest.approx(float(value), rel=1e-4, abs=1e-6), term


@pytest.mark.parametrize("name", TEN_STEPS)
def test_ranks_whose_batches_differ_have_one_weight_and_one_network(ddp, name):
    """One rank has unlabelled voxels, the other has none; a weight per batch would differ."""
    _, ranks, _ = ddp
    first, second = (rank[name, "ten steps"] for rank in ranks)
    assert len(first["strengths"]) == 10
    assert first["strengths"] == second["strengths"]
    assert first["strengths"][0] > 0
    assert_close(first["after"], second["after"], rtol=0, atol=0)


def test_students_are_wrapped_and_teachers_are_not(ddp):
    _, ranks, _ = ddp
    for rank in ranks:
        assert rank["PASegStage1Trainer"]["wrapped"] == [True]
        assert rank["PASegStage2Trainer"]["wrapped"] == [True, True, False, False]


def test_the_share_of_seed_patches_is_split_once(ddp):
    """Of a batch of two, the second is centred on a seed; building a second network must not split again."""
    _, ranks, _ = ddp
    for name in TRAINERS[::2]:
        assert [rank[name]["oversample"] for rank in ranks] == [0.0, 1.0]


@pytest.mark.parametrize("name", TRAINERS[::2])
def test_a_training_leaves_one_set_of_files(ddp, name):
    _, ranks, results = ddp
    trained = [rank[name]["training"] for rank in ranks]
    folder = results / f"{name}__{PLANS}__3d_fullres" / "fold_0"
    assert any(Path(name).match(f"{folder}/.*.checkpoint_final.pth") for name in trained[0]["written"])
    assert trained[1]["written"] == [], "only the first rank writes"
    for first, second in ((trained[0]["after"], trained[1]["after"]), (trained[0]["loaded"], trained[1]["loaded"])):
        assert_close(first, second, rtol=0, atol=0)
    assert_close(trained[0]["after"], trained[0]["loaded"], rtol=0, atol=0)
    assert (folder / "paseg_progress.png").exists()
    assert (folder / "paseg_patches.png").exists()
    assert trained[0]["logged"] == trained[1]["logged"], "terms are means over the ranks"
    assert all(len(values) == 2 for values in trained[0]["logged"].values())
    # No wrapper's prefix in the names: stock nnU-Net and stage 2 can load them.
    weights = torch.load(folder / "checkpoint_final.pth", weights_only=False)
    names = [*weights["network_weights"], *weights["paseg"].get("auxiliary_weights", ())]
    assert not any(name.startswith(("module.", "_orig_mod.")) for name in names)
