"""Completion of all cases: probabilities of both sources, weights of all cases together, then the masks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from nnunet_paseg.completion.case import complete_case, weights_record
from nnunet_paseg.completion.dataset import ClickedDataset, TrainingCase
from nnunet_paseg.completion.expansion_source import expand_targets
from nnunet_paseg.completion.folder import SOURCES, CompletionFolder, read_facts
from nnunet_paseg.completion.network_source import predict_targets
from nnunet_paseg.completion.reliability import FACTORS, Measure, Weight, source_weights
from nnunet_paseg.errors import PasegError
from nnunet_paseg.expansion.cases import draw_sheet
from nnunet_paseg.expansion.folder import read_record
from nnunet_paseg.io.case_processes import each_case
from nnunet_paseg.io.files import remove_temporaries

Weights = dict[int, list[Weight]]
"""By label, the weight of every source."""


@dataclass
class Completion:
    """Outcome of a completion.

    Attributes:
        records: Record of every completed case.
        problems: Message for every other case.
        weights: Weights for the cases on which the networks were not trained (False) and were trained (True).
        targets: Number of targets from which they are measured, by group and label.
        sheet: Pages of the contact sheet.
    """

    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    weights: dict[bool, Weights] = field(default_factory=dict)
    targets: dict[bool, dict[int, int]] = field(default_factory=dict)
    sheet: list[Path] = field(default_factory=list)


def complete_dataset(
    dataset: ClickedDataset,
    cases: Sequence[TrainingCase],
    model: Path,
    folder: CompletionFolder,
    *,
    expander: Path | None = None,
    device: str = "cuda",
    num_processes: int = 3,
) -> Completion:
    """Write a mask for every training case. A case that cannot be completed does not stop the others.

    Args:
        dataset: Converted dataset.
        cases: Its training cases, with the folds that predict them.
        model: Folder of the trained model.
        folder: Output folder, which is open.
        expander: File of the expansion network's weights; None for the weights of this package.
        device: Device of the networks.
        num_processes: Number of cases expanded, preprocessed or completed at the same time.

    Raises:
        PasegError: The model cannot be used.
        OutputError: The folder cannot be written.
    """
    result = Completion()
    clicked = [case for case in cases if case.points is not None]
    todo = [case for case in clicked if not _has_source(case, folder, "expansion")]
    expand = partial(expand_targets, folder=folder, labels=dataset.labels, expander=expander)
    _each(expand, todo, "Expanding", num_processes, result)
    good = [case for case in clicked if case.identifier not in result.problems]
    todo = [case for case in good if not _has_source(case, folder, "network")]
    for case, problem in predict_targets(
        todo, folder, dataset.labels, model, device=device, num_processes=num_processes
    ):
        if problem is not None:
            result.problems[case.identifier] = problem
    good = [case for case in good if case.identifier not in result.problems]
    for trained_on in (False, True):
        group = [case for case in good if case.trained_on == trained_on]
        result.weights[trained_on], result.targets[trained_on] = _weights(group, folder)
    good += [case for case in cases if case.points is None]
    for trained_on in (False, True):
        weights = result.weights[trained_on]
        group = [case for case in good if case.trained_on == trained_on]
        todo = [case for case in group if not _is_complete(case, folder, weights)]
        complete = partial(complete_case, folder=folder, labels=dataset.labels, weights=weights)
        _each(complete, todo, "Completing", num_processes, result)
    for case in good:
        if case.identifier not in result.problems:
            result.records[case.identifier] = read_record(folder.record(case.identifier))
    remove_temporaries(path for case in result.records for path in folder.files(case))
    result.sheet = draw_sheet(folder, {case: record for case, record in result.records.items() if record["targets"]})
    return result


def _each(
    work: Callable[[TrainingCase], None],
    cases: Sequence[TrainingCase],
    title: str,
    num_processes: int,
    result: Completion,
) -> None:
    """Call a function for every case, and note the problems."""
    with tqdm(total=len(cases), desc=title, unit="case", disable=not cases) as progress:
        for case, problem in each_case(work, cases, min(num_processes, len(cases)), None):
            if problem is not None:
                result.problems[case.identifier] = problem
            progress.update()


def _has_source(case: TrainingCase, folder: CompletionFolder, source: str) -> bool:
    """Return whether the probabilities of a source are there and made of the current files of the case."""
    return _is_current(read_facts(folder.source(case.identifier, source)), case, folder)


def _is_current(record: Mapping[str, Any], case: TrainingCase, folder: CompletionFolder) -> bool:
    try:
        return record.get("options") == folder.options and record.get("made_of") == case.state()
    except (OSError, PasegError):
        return False  # the completion of the case names what is wrong


def _is_complete(case: TrainingCase, folder: CompletionFolder, weights: Weights) -> bool:
    record = read_record(folder.record(case.identifier))
    files = [folder.mask(case.identifier), *([folder.views(case.identifier)] if case.points else [])]
    return (
        _is_current(record, case, folder)
        and record.get("weights") == weights_record(weights)
        and all(file.is_file() for file in files)
    )


def _weights(cases: Sequence[TrainingCase], folder: CompletionFolder) -> tuple[Weights, dict[int, int]]:
    """Return the weights of the sources from the measures of all targets of some cases, and the number of targets."""
    found: dict[int, list[list[Measure]]] = {}
    for case in cases:
        of_sources = [read_facts(folder.source(case.identifier, source))["targets"] for source in SOURCES]
        for one, *others in zip(*of_sources, strict=True):
            of_class = found.setdefault(one["label"], [[] for _ in SOURCES])
            for source, entry in zip(of_class, (one, *others), strict=True):
                source.append(Measure(**{name: value for name, value in entry.items() if name != "label"}))
    return (
        {label: source_weights(of_class, FACTORS) for label, of_class in sorted(found.items())},
        {label: len(of_class[0]) for label, of_class in found.items()},
    )
