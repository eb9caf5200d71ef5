"""The declared grid: datasets, what the training cases teach, and methods."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Task:
    """A dataset, split by case, and how it is worked on.

    Attributes:
        source: folder of the dense dataset.
        dataset_id: of the densely labelled dataset; the numbers of the others follow from it (see :class:`Labels`).
        num_train, num_test: cases, drawn with seed 0.
        merge: name of the one class that all classes become, or None to keep them.
        spacing_mm: (z, y, x) to work at without a GPU, or None for nnU-Net's choice.
        epochs: of every training without a GPU.
        targets: to annotate in a case, for the annotation minutes.
        mirroring: augment by mirroring; without, where a mirror turns one class into another.
    """

    source: str
    dataset_id: int
    num_train: int
    num_test: int
    merge: str | None = None
    spacing_mm: tuple[float, float, float] | None = None
    epochs: int = 20
    targets: int = 1
    mirroring: bool = True


TASKS = {
    "hippocampus-2mm": Task("Dataset004_Hippocampus", 310, 60, 40, merge="hippocampus", spacing_mm=(2.0, 2.0, 2.0)),
    # Front and back, or left and right, look alike in a mirror.
    "hippocampus2": Task("Dataset004_Hippocampus", 330, 60, 40, spacing_mm=(2.0, 2.0, 2.0), targets=2, mirroring=False),
    "atrium-4mm": Task("Dataset050_LeftAtrium", 320, 45, 30, spacing_mm=(4.0, 4.0, 4.0)),
    "abdomen": Task(
        "Dataset070_AbdomenMR", 340, 10, 5, spacing_mm=(7.7, 10.0, 10.0), epochs=10, targets=4, mirroring=False
    ),
    "sarcoma": Task("Dataset060_SoftTissueSarcoma", 350, 22, 11, spacing_mm=(6.0, 6.0, 6.0)),
    "phantom": Task("Dataset900_Phantom", 360, 24, 12, epochs=2),
}
"""Coarse voxels make small networks that a CPU can train to their end.

Hippocampus with its two classes merged, and kept; the phantoms are those of ``make benchmark-quick``.
"""


@dataclass(frozen=True)
class Labels:
    """What the training cases teach.

    Attributes:
        options: of the conversion.
        offset, per_point_seed: the dataset's number is the task's, plus these two, the second times the point seed.
    """

    options: tuple[str, ...]
    offset: int
    per_point_seed: int


LABELS = {
    "dense": Labels(("--dense",), 0, 0),
    "adaptive": Labels(("--seeds", "adaptive"), 1, 2),
    "paper": Labels(("--seeds", "paper"), 2, 2),
    # The paper's rule takes what is nearer than a fraction of the largest distance in the box: of none, the clicked
    # voxels are left; of all, all but the farthest voxel of the box.
    "points": Labels(("--seeds", "paper", "--threshold", "1e-6"), 100, 1),
    "box": Labels(("--seeds", "paper", "--threshold", "1"), 200, 1),
    "narrow": Labels(("--seeds", "adaptive", "--background", "1.5"), 400, 1),
    "mixed": Labels(("--seeds", "adaptive", "--dense-validation"), 300, 1),
}


@dataclass(frozen=True)
class Method:
    """Labels and trainer.

    Attributes:
        labels: a key of :data:`LABELS`.
        trainer: nnU-Net's, this package's, or one of ext/ablations.py.
        share: of the minutes that points on all training cases take; as many cases train as that pays for. None is all
            training cases, whatever they cost.
        starts_from: the variant of stage 1 that a stage 2 starts from.
    """

    labels: str
    trainer: str
    share: float | None = None
    starts_from: str = ""


METHODS = {
    "points-only": Method("points", "nnUNetTrainer"),
    "box-filled": Method("box", "nnUNetTrainer"),
    "seeds-paper": Method("paper", "nnUNetTrainer"),
    "stage1-seeds-paper": Method("paper", "PASegStage1Trainer"),
    "stage2-seeds-paper": Method("paper", "PASegStage2Trainer"),
    "stage1-paper": Method("paper", "PASegStage1Trainer_paper"),
    "stage2-paper": Method("paper", "PASegStage2Trainer_paper", starts_from="_paper"),
    "seeds-narrow": Method("narrow", "nnUNetTrainer"),
    "seeds": Method("adaptive", "nnUNetTrainer"),
    "stage1-narrow": Method("narrow", "PASegStage1Trainer"),
    "stage1-no-mcrf": Method("adaptive", "PASegStage1Trainer_nomcrf"),
    "stage1-no-vm": Method("adaptive", "PASegStage1Trainer_novm"),
    "stage1-plain": Method("adaptive", "PASegStage1Trainer_plain"),
    "stage1-no-calibration": Method("adaptive", "PASegStage1Trainer_nocalibration"),
    "stage1": Method("adaptive", "PASegStage1Trainer"),
    "stage2-self": Method("adaptive", "PASegStage2Trainer_self"),
    "stage2-distillation": Method("adaptive", "PASegStage2Trainer_distillation"),
    "stage2-hard": Method("adaptive", "PASegStage2Trainer_hard"),
    "stage2-no-teachers": Method("adaptive", "PASegStage2Trainer_noteachers"),
    "stage2-plain": Method("adaptive", "PASegStage2Trainer_fromplain", starts_from="_plain"),
    "stage2": Method("adaptive", "PASegStage2Trainer"),
    "seeds-fifth": Method("adaptive", "nnUNetTrainer", share=0.2),
    "seeds-half": Method("adaptive", "nnUNetTrainer", share=0.5),
    "stage1-half": Method("adaptive", "PASegStage1Trainer", share=0.5),
    "stage2-half": Method("adaptive", "PASegStage2Trainer", share=0.5),
    "mixed-stage1": Method("mixed", "PASegStage1Trainer", share=1.0),
    "mixed": Method("mixed", "PASegStage2Trainer", share=1.0),
    "dense-few-fifth": Method("dense", "nnUNetTrainer", share=0.2),
    "dense-few-half": Method("dense", "nnUNetTrainer", share=0.5),
    "dense-few": Method("dense", "nnUNetTrainer", share=1.0),
    "dense": Method("dense", "nnUNetTrainer"),
}
"""In the order of the tables."""

HEADLINE = ("seeds-paper", "stage1-paper", "seeds", "stage1", "stage2", "dense")
"""Methods that run unless the command line names others."""

SHARES = (1.0, 0.5, 0.2)
POINT_SEEDS = range(4)
"""Further ones would need dataset numbers that are others'."""
