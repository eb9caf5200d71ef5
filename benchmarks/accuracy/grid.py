"""The grid: training labels and methods."""

from __future__ import annotations

from dataclasses import dataclass

BEFORE_LEARNED = "35624d6"
"""Last revision whose default seeds were the rule ``adaptive``, which converts the datasets of that rule."""


@dataclass(frozen=True)
class Labels:
    """Training labels.

    Attributes:
        options: Options of the conversion.
        offset: Difference between the numbers of the dataset and of the task's dense dataset, for point seed 0.
        per_point_seed: Further difference per point seed.
        revision: Revision of this repository that converts, or None for the present one.
        geodistk: Whether the conversion needs GeodisTK.
    """

    options: tuple[str, ...]
    offset: int
    per_point_seed: int = 1
    revision: str | None = None
    geodistk: bool = False


LABELS = {
    "dense": Labels(("--dense",), 0, 0),
    "learned": Labels(("--seeds", "learned"), 500),
    "learnedwide": Labels(
        ("--seeds", "learned", "--foreground-probability", "0.9", "--background-probability", "0.1"), 604
    ),
    "learnedmasks": Labels(
        ("--seeds", "learned", "--foreground-probability", "0.5", "--background-probability", "0.5"), 404
    ),
    "learnedmixed": Labels(("--seeds", "learned", "--dense-validation"), 504),
    "adaptive": Labels(("--seeds", "adaptive"), 1, 2, BEFORE_LEARNED),
    "narrow": Labels(("--seeds", "adaptive", "--background", "1.5"), 400, 1, BEFORE_LEARNED),
    "mixed": Labels(("--seeds", "adaptive", "--dense-validation"), 300, 1, BEFORE_LEARNED),
    "paper": Labels(("--seeds", "paper"), 2, 2),
    # GeodisTK's raster scans, which have not converged, give more seeds with the same threshold.
    "published": Labels(("--seeds", "paper", "--backend", "geodistk"), 600, geodistk=True),
    # By the paper's rule, voxels nearer than a fraction of the largest distance in the box are foreground. A fraction
    # of almost zero keeps the clicked voxels; a fraction of one keeps all but the farthest voxel of the box.
    "points": Labels(("--seeds", "paper", "--threshold", "1e-6"), 100),
    "box": Labels(("--seeds", "paper", "--threshold", "1"), 200),
}
MIXED = ("mixed", "learnedmixed")
"""Labels with one densely annotated case."""


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
    trainer: str = "nnUNetTrainer"
    share: float | None = None
    starts_from: str = ""


METHODS = {
    "points-only": Method("points"),
    "box-filled": Method("box"),
    "published": Method("published"),
    "paper-exact": Method("paper"),
    "paper-exact-stage1": Method("paper", "PASegStage1Trainer_paper"),
    "paper-exact-stage1-default": Method("paper", "PASegStage1Trainer"),
    "adaptive-narrow": Method("narrow"),
    "adaptive": Method("adaptive"),
    "adaptive-narrow-stage1": Method("narrow", "PASegStage1Trainer"),
    "adaptive-stage1-no-mcrf": Method("adaptive", "PASegStage1Trainer_nomcrf"),
    "adaptive-stage1-no-vm": Method("adaptive", "PASegStage1Trainer_novm"),
    "adaptive-stage1-plain": Method("adaptive", "PASegStage1Trainer_plain"),
    "adaptive-stage1-no-calibration": Method("adaptive", "PASegStage1Trainer_nocalibration"),
    "adaptive-stage1": Method("adaptive", "PASegStage1Trainer"),
    "adaptive-stage2-self": Method("adaptive", "PASegStage2Trainer_self"),
    "adaptive-stage2-distillation": Method("adaptive", "PASegStage2Trainer_distillation"),
    "adaptive-stage2-hard": Method("adaptive", "PASegStage2Trainer_hard"),
    "adaptive-stage2-no-teachers": Method("adaptive", "PASegStage2Trainer_noteachers"),
    "adaptive-stage2-plain": Method("adaptive", "PASegStage2Trainer_fromplain", starts_from="_plain"),
    "adaptive-stage2": Method("adaptive", "PASegStage2Trainer"),
    "adaptive-mixed-stage1": Method("mixed", "PASegStage1Trainer", share=1.0),
    "learned-fifth": Method("learned", share=0.2),
    "learned-half": Method("learned", share=0.5),
    "learned-wide": Method("learnedwide"),
    "learned-masks": Method("learnedmasks"),
    "learned": Method("learned"),
    "learned-stage1": Method("learned", "PASegStage1Trainer"),
    "learned-stage2": Method("learned", "PASegStage2Trainer"),
    "learned-mixed": Method("learnedmixed", share=1.0),
    "dense-few-fifth": Method("dense", share=0.2),
    "dense-few-half": Method("dense", share=0.5),
    "dense-few": Method("dense", share=1.0),
    "dense": Method("dense"),
}
"""Methods by name, in the order of the tables. A name starts with the labels; without a stage, nnU-Net is stock."""

DEFAULT_METHODS = ("paper-exact", "learned", "dense")
"""Methods that run by default."""

HEADLINE = {
    "published": "published seeds",
    "paper-exact": "published rule, exact distances",
    "paper-exact-stage1": "the same, published stage 1",
    "adaptive": "old default seeds",
    "adaptive-stage1": "old default seeds, stage 1",
    "adaptive-stage2": "old default seeds, stage 2",
    "learned": "learned seeds",
    "learned-stage1": "learned seeds, stage 1",
    "learned-stage2": "learned seeds, stage 2",
    "dense": "dense masks",
}
"""Methods of the headline table, with their column titles."""

SHARES = (1.0, 0.5, 0.2)
POINT_SEEDS = range(4)
"""Further seeds would need dataset numbers that belong to other tasks."""
