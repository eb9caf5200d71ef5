"""The dataset.json of the Medical Segmentation Decathlon and of nnU-Net, read strictly: both are often hand-written."""

from __future__ import annotations

import json
import os
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnunet_paseg.errors import PasegError

TASK_KEYS = ("modality", "labels", "training")
DATASET_KEYS = ("channel_names", "labels", "file_ending")


@dataclass(frozen=True)
class Task:
    """A task of the Decathlon.

    Attributes:
        channels: Channel names, in order.
        classes: Mask value by foreground class.
        training: Image and mask file of every training case, relative to the task's folder.
        test: Image files of the test cases, relative to the task's folder.
    """

    channels: tuple[str, ...]
    classes: Mapping[str, int]
    training: tuple[tuple[str, str], ...]
    test: tuple[str, ...]


@dataclass(frozen=True)
class DenseDataset:
    """A densely annotated nnU-Net raw dataset.

    Attributes:
        channels: Channel names, in order.
        classes: Mask value by foreground class.
        ending: File ending of images and masks.
        elsewhere: Images and mask by training case where nnU-Net's "dataset" entry lists them; None without the entry.
    """

    channels: tuple[str, ...]
    classes: Mapping[str, int]
    ending: str
    elsewhere: Mapping[str, tuple[tuple[Path, ...], Path]] | None = None


def read_task(source: Path) -> Task:
    """Read the dataset.json of a task of the Decathlon.

    Raises:
        PasegError: There is no dataset.json, or it has a different form.
    """
    file = source / "dataset.json"
    if not file.is_file():
        raise PasegError(f"{source} is no task of the Medical Segmentation Decathlon: {file} is missing.")
    content = _read_json(file, "download the task again")
    if isinstance(content, dict) and "channel_names" in content:
        raise PasegError(f"{source} is an nnU-Net raw dataset: use `paseg convert dense`.")
    if not isinstance(content, dict) or not all(content.get(key) for key in TASK_KEYS):
        raise PasegError(
            f"{file} is not that of a Medical Segmentation Decathlon task: expected the keys {list(TASK_KEYS)}, found "
            f"{_found(content)}."
        )
    labels, training, test = content["labels"], content["training"], content.get("test", [])
    if not (_is_names(labels) and all(value.isdecimal() and len(value) < 10 for value in labels)):
        raise _other(file, 'labels as {"0": "background", "1": "tumour"}', labels)
    if len(set(labels.values())) < len(labels) or len(set(map(int, labels))) < len(labels):
        raise _other(file, "labels of different names and values", labels)
    if any(not int(value) and name.casefold() != "background" for value, name in labels.items()):
        raise _other(file, "the value 0 for background only", labels)
    for what, cases in (("training", training), ("test", test)):
        if not isinstance(cases, list):
            raise _other(file, f"a list of {what} cases", cases)
    for number, item in enumerate(training):
        if not (isinstance(item, dict) and _is_text(item.get("image")) and _is_text(item.get("label"))):
            raise _other(file, f'an object with the files "image" and "label" as training case {number}', item)
    for number, item in enumerate(test):
        if not _is_text(item):
            raise _other(file, f"a file name as test case {number}", item)
    return Task(
        _channels(file, content["modality"]),
        {name: int(value) for value, name in labels.items() if int(value)},
        tuple((item["image"], item["label"]) for item in training),
        tuple(test),
    )


def read_dense_dataset(source: Path) -> DenseDataset:
    """Read the dataset.json of a densely annotated nnU-Net raw dataset.

    Raises:
        PasegError: There is no dataset.json, it has a different form, or the dataset has regions or an ignore label
            and is not densely annotated.
    """
    file = source / "dataset.json"
    if not file.is_file():
        raise PasegError(f"{source} is no nnU-Net raw dataset: {file} is missing.")
    content = _read_json(file, "restore it from the source of the dataset")
    if not isinstance(content, dict) or not all(content.get(key) for key in DATASET_KEYS):
        found = _found(content)
        hint = "; for a task of the Decathlon use `paseg convert decathlon`" if "modality" in found else ""
        raise PasegError(
            f"{file} is not that of an nnU-Net raw dataset: expected the keys {list(DATASET_KEYS)}, found "
            f"{found}{hint}."
        )
    labels, ending = content["labels"], content["file_ending"]
    if (
        not isinstance(labels, dict)
        or "ignore" in labels
        or not all(type(value) is int and value >= 0 for value in labels.values())
    ):
        raise PasegError(
            f"{file}: only plain integer labels without 'ignore' can be converted, got {_short.repr(labels)}."
        )
    if not all(_is_text(name) for name in labels) or len(set(labels.values())) < len(labels):
        raise _other(file, 'labels with a name and a value of their own, as {"background": 0, "tumour": 1}', labels)
    if any(not value and name.casefold() != "background" for name, value in labels.items()):
        raise _other(file, "the value 0 for background only", labels)
    if not (_is_text(ending) and ending.startswith(".") and not set(ending) & set("*?[/\\")):
        raise _other(file, 'a file_ending such as ".nii.gz"', ending)
    channels = _channels(file, content["channel_names"])
    elsewhere = _elsewhere(file, content["dataset"], len(channels)) if "dataset" in content else None
    return DenseDataset(channels, {name: value for name, value in labels.items() if value}, ending, elsewhere)


def _elsewhere(file: Path, dataset: Any, channels: int) -> dict[str, tuple[tuple[Path, ...], Path]]:
    """Return images and mask by case of nnU-Net's "dataset" entry; paths are relative to the dataset's folder."""
    if not (isinstance(dataset, dict) and dataset):
        raise _other(file, 'images and label by case in the entry "dataset"', dataset)
    found = {}
    for case, item in dataset.items():
        images, label = (item.get("images"), item.get("label")) if isinstance(item, dict) else (None, None)
        if not (isinstance(images, list) and len(images) == channels and all(map(_is_text, [*images, label]))):
            what = f'{channels} "images" and a "label" for case {_short.repr(case)} in the entry "dataset"'
            raise _other(file, what, item)
        paths = [file.parent / os.path.expandvars(path) for path in [*images, label]]
        found[case] = (tuple(paths[:-1]), paths[-1])
    return found


def _channels(file: Path, names: Any) -> tuple[str, ...]:
    if not isinstance(names, dict) or set(names) != {str(number) for number in range(len(names))}:
        raise PasegError(f"{file}: the channels must be called by their numbers from 0, got {_short.repr(names)}.")
    if not _is_names(names):
        raise _other(file, 'a name for every channel, as {"0": "MRI"}', names)
    return tuple(names[str(number)] for number in range(len(names)))


def _read_json(file: Path, remedy: str) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise PasegError(f"{file} cannot be read ({error.strerror}): {remedy}.") from error
    except (ValueError, RecursionError) as error:
        raise PasegError(f"{file} is no JSON ({error}): {remedy}.") from error


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_names(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_text, value.values()))


def _found(content: Any) -> str:
    return _short.repr(sorted(content)) if isinstance(content, dict) else f"a {type(content).__name__}"


def _other(file: Path, expected: str, found: Any) -> PasegError:
    return PasegError(f"{file}: expected {expected}, found {_short.repr(found)}: correct the file.")


_short = reprlib.Repr()
_short.maxdict = _short.maxlist = 12
_short.maxstring = 60
