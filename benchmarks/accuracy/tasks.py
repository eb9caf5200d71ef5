"""The tasks: dense datasets, split by case, with the settings of their trainings."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Task:
    """A dataset, split by case, and its settings.

    Attributes:
        title: Name in tables that readers see first.
        source: Folder of the dense dataset.
        dataset_id: Number of the dense reference dataset; those of the others follow from it (see grid.LABELS).
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
    "glioma": Task(
        *("low-grade glioma", "Dataset080_LowGradeGlioma", 370, 50, 27), spacing_mm=(5.0, 3.44, 3.44), epochs=12
    ),
    "sarcoma-pet": Task(*("sarcoma, PET", "Dataset061_SarcomaPET", 380, 22, 10), spacing_mm=(6.0, 6.0, 6.0), epochs=12),
    "phantom": Task("phantom", "Dataset900_Phantom", 360, 24, 12, epochs=2),
}
"""With a coarse spacing, networks are small and a CPU can finish their training.

The two classes of the hippocampus are merged in one task and kept in the other. The phantoms are those of
``make benchmark-quick``.
"""
