"""The grid: datasets, training labels and methods."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Task:
    """A dataset, split by case, and its settings.

    Attributes:
        title: Name in tables that readers see first.
        source: Folder of the dense dataset.
        dataset_id: Number of the dense reference dataset; those of the others follow from it (see :class:`Labels`).
        num_train: Number of training cases, drawn with seed 0.
        num_test: Number of test cases, drawn with seed 0.
        merge: Name of the one class that all classes become, or None to keep them.
        spacing_mm: Spacing (z, y, x) without a GPU, or None for nnU-Net's choice.
        epochs: Epochs per training without a GPU.
        targets: Targets per case, for the annotation time.
        mirroring: Whether to augment by mirroring; not where a mirror turns one class into another.
    """

    title: str
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
    "hippocampus-2mm": Task(
        "hippocampus", "Dataset004_Hippocampus", 310, 60, 40, merge="hippocampus", spacing_mm=(2.0, 2.0, 2.0)
    ),
    # Anterior and posterior, or left and right, look alike in a mirror.
    "hippocampus2": Task(
        *("hippocampus, two parts", "Dataset004_Hippocampus", 330, 60, 40),
        spacing_mm=(2.0, 2.0, 2.0),
        targets=2,
        mirroring=False,
    ),
    "atrium-4mm": Task("left atrium", "Dataset050_LeftAtrium", 320, 45, 30, spacing_mm=(4.0, 4.0, 4.0)),
    "abdomen": Task(
        *("four abdominal organs", "Dataset070_AbdomenMR", 340, 10, 5),
        spacing_mm=(7.7, 10.0, 10.0),
        epochs=10,
        targets=4,
        mirroring=False,
    ),
    "sarcoma": Task("sarcoma", "Dataset060_SoftTissueSarcoma", 350, 22, 11, spacing_mm=(6.0, 6.0, 6.0)),
    "phantom": Task("phantom", "Dataset900_Phantom", 360, 24, 12, epochs=2),
}
"""With a coarse spacing, networks are small and a CPU can finish their training.

The two classes of the hippocampus are merged in one task and kept in the other. The phantoms are those of
``make benchmark-quick``.
"""


@dataclass(frozen=True)
class Labels:
    """Training labels.

    Attributes:
        options: Options of the conversion.
        offset: Difference between the numbers of the dataset and of the task's dense dataset, for point seed 0.
        per_point_seed: Further difference per point seed.
    """

    options: tuple[str, ...]
    offset: int
    per_point_seed: int


LABELS = {
    "dense": Labels(("--dense",), 0, 0),
    "adaptive": Labels(("--seeds", "adaptive"), 1, 2),
    "paper": Labels(("--seeds", "paper"), 2, 2),
    # By the paper's rule, voxels nearer than a fraction of the largest distance in the box are foreground. A fraction
    # of almost zero keeps the clicked voxels; a fraction of one keeps all but the farthest voxel of the box.
    "points": Labels(("--seeds", "paper", "--threshold", "1e-6"), 100, 1),
    "box": Labels(("--seeds", "paper", "--threshold", "1"), 200, 1),
    "narrow": Labels(("--seeds", "adaptive", "--background", "1.5"), 400, 1),
    "mixed": Labels(("--seeds", "adaptive", "--dense-validation"), 300, 1),
}


@dataclass(frozen=True)
class Method:
    """Labels and trainer.

    Attributes:
        labels: Key of :data:`LABELS`.
        trainer: Trainer of nnU-Net, of this package, or of ext/ablations.py.
        share: Fraction of the annotation time of points on all training cases, which limits the number of training
            cases. None: all training cases, whatever their annotation costs.
        starts_from: Variant of stage 1 that a stage 2 starts from.
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
"""Methods by name, in the order of the tables."""

HEADLINE = {
    "seeds-paper": "nnU-Net, published seeds",
    "stage1-paper": "stage 1, as published",
    "seeds": "nnU-Net, our seeds",
    "stage1": "stage 1",
    "stage2": "stage 2",
    "dense": "nnU-Net, dense masks",
}
"""Methods that run by default, with their column titles in the headline table."""

SHARES = (1.0, 0.5, 0.2)
POINT_SEEDS = range(4)
"""Further seeds would need dataset numbers that belong to other tasks."""
