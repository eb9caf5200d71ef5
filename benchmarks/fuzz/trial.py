"""One trial: write a file, mutate it, read it, and compare the result with the original."""

from __future__ import annotations

import contextlib
import gzip
import tempfile
import traceback
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from benchmarks.fuzz.image_mutations import change_voxels, mutate_image
from benchmarks.fuzz.outcome import Trial
from benchmarks.fuzz.point_files import (
    MAP_FORMATS,
    TEXT_FORMATS,
    Table,
    as_json,
    make_markups,
    make_table,
    save_image,
    save_label_map,
)
from benchmarks.fuzz.scene import SHAPE, Scene, make_scene
from benchmarks.fuzz.text_mutations import Mutated, Rng, mutate_json, mutate_table, pick, text_of
from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.images import read_image
from nnunet_paseg.points.formats import read_points
from nnunet_paseg.points.grid import Grid
from nnunet_paseg.points.instance import VoxelInstance, place_on_grid
from nnunet_paseg.seeds.expand import expand_points


def run_trial(kind: str, seed: int, number: int, keep: Path | None = None) -> Iterator[Trial]:
    """Run one trial; yield it as a crash before the file is read, and with its outcome afterwards.

    Args:
        kind: "points" or "images".
        seed: Seed of the whole fuzz run.
        number: Number of the trial.
        keep: Folder for the mutated file (default: a temporary one).
    """
    rng = np.random.default_rng([seed, ("points", "images").index(kind), number])
    with tempfile.TemporaryDirectory() as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        folder = keep or Path(temporary)
        name, mutate, read = (_points if kind == "points" else _image)(folder, rng)
        before = _contents(folder)
        mutated = mutate()
        trial = Trial(kind, number, name, mutated.kind, "crash", _change(before, _contents(folder)))
        yield trial
        outcome, detail = _outcome(read, mutated, list(before))
        yield replace(trial, outcome=outcome, detail=f"{detail} [{trial.detail}]")


def _contents(folder: Path) -> dict[str, bytes]:
    """Return the contents of all files, decompressed where that is possible."""
    contents = {}
    for file in sorted(folder.iterdir()):
        contents[file.name] = file.read_bytes()
        if file.name.endswith(".gz"):
            with contextlib.suppress(OSError, EOFError, zlib.error):
                contents[file.name] = gzip.decompress(contents[file.name])
    return contents


def _change(before: dict[str, bytes], after: dict[str, bytes]) -> str:
    """Return the first change of a mutation, for people who look into a violation."""
    for name, old in before.items():
        new = after[name]
        if old != new:
            pairs = zip(old, new, strict=False)
            at = next((index for index, (a, b) in enumerate(pairs) if a != b), min(len(old), len(new)))
            parts = (content[max(0, at - 20) : at + 40] for content in (old, new))
            return f"{name}, byte {at} of {len(old)}: {' -> '.join(map(repr, parts))}, {len(new)} bytes"
    return "no change"


Prepared = tuple[str, Callable[[], Mutated], Callable[[], bool]]
"""Format of a file, a function that mutates it, and one that reads it and compares the result with the original."""


def _points(folder: Path, rng: Rng) -> Prepared:
    """Write a point file."""
    scene = make_scene(rng)
    name = pick(rng, [*TEXT_FORMATS * 2, *MAP_FORMATS])
    if name in MAP_FORMATS:
        path = folder / f"case.{name}"
        files = save_label_map(scene, path, rng)
        return f"label map {name}", lambda: _mutate_label_map(scene, files, rng), lambda: _same_points(scene, path)
    content = make_markups(scene, rng) if name == "mrk.json" else make_table(scene, name, rng)
    path = folder / f"case.{content.suffix if isinstance(content, Table) else name}"
    path.write_bytes(text_of(content.lines()) if isinstance(content, Table) else as_json(content).encode())
    assert _same_points(scene, path), "The file is not read without any mutation."

    def mutate() -> Mutated:
        mutated = mutate_table(content, rng) if isinstance(content, Table) else mutate_json(content, rng)
        path.write_bytes(mutated.data)
        return mutated

    return name, mutate, lambda: _same_points(scene, path)


def _mutate_label_map(scene: Scene, files: Sequence[Path], rng: Rng) -> Mutated:
    if rng.integers(3):
        return mutate_image(files, rng)
    values = sitk.GetArrayFromImage(sitk.ReadImage(str(files[0])))
    save_image(change_voxels(values, rng), scene, files[0])
    return Mutated("values", False, b"")


def _same_points(scene: Scene, path: Path) -> bool:
    """Return whether the points of a file give the label map of a case."""
    labels = {name: number for number, name in enumerate(scene.class_names, start=1)}
    found = read_points(path, scene.grid, scene.class_names, case="case")
    try:
        placed = [place_on_grid(instance, scene.grid, labels) for instance in found]
    except PasegError as error:
        # Its callers add the name of the file or of the case.
        raise PasegError(f"{path.name}: {error}") from error
    expected = [place_on_grid(instance, scene.grid, labels) for instance in scene.instances]
    if sorted(map(_facts, placed)) == sorted(map(_facts, expected)):
        return True
    maps = [
        expand_points(scene.image, each, spacing_mm=scene.grid.spacing_mm, num_classes=len(labels)).labels
        for each in (placed, expected)
    ]
    return np.array_equal(maps[0], maps[1])


def _facts(instance: VoxelInstance) -> tuple[Any, ...]:
    """Return all that the expansion depends on, in an order of its own."""
    points = (instance.foreground, instance.background, instance.extremes)
    return (instance.label, str(instance.box), *(sorted(np.asarray(each).tolist()) for each in points))


def _image(folder: Path, rng: Rng) -> Prepared:
    """Write an image."""
    scene = make_scene(rng)
    name = pick(rng, MAP_FORMATS)
    path = folder / f"case_0000.{name}"
    values = rng.integers(0, 200, SHAPE).astype(pick(rng, [np.uint8, np.int16, np.float32]))
    save_image(values, scene, path, compress=bool(rng.integers(2)))
    files = [path, *folder.glob("*raw")]
    right = [_as_itk(path)]

    def mutate() -> Mutated:
        mutated = mutate_image(files, rng)
        if mutated.as_itk:
            right.append(_as_itk(path))
        return mutated

    def same() -> bool:
        array, grid = _read_image(path)
        return any(grid.same_as(each[1]) and np.array_equal(array, each[0]) for each in right)

    return name, mutate, same


def _as_itk(path: Path) -> tuple[npt.NDArray[Any], Grid]:
    image = sitk.ReadImage(str(path))
    return sitk.GetArrayFromImage(image), Grid.from_image(image)


def _read_image(path: Path) -> tuple[npt.NDArray[Any], Grid]:
    image = read_image(path)
    return sitk.GetArrayFromImage(image), Grid.from_image(image)


def _outcome(read: Callable[[], bool], mutated: Mutated, names: list[str]) -> tuple[str, str]:
    try:
        is_same = read()
    except PasegError as error:
        message = str(error)
        return ("message" if any(name in message for name in names) else "unnamed"), message[:500]
    except Exception:
        return "traceback", "".join(traceback.format_exc().splitlines(keepends=True)[-3:])[:500]
    if is_same:
        return "same", ""
    return ("different" if mutated.known else "any"), ""
