"""`paseg complete`: dense masks of the clicked training cases, from the trained networks and the clicks."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from nnunet_paseg import __version__
from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.json_output import add_json_argument, print_json


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `paseg complete`."""
    parser = subparsers.add_parser(
        "complete",
        help="write dense masks of the clicked training cases, once a model is trained",
        description="Combine the probabilities of the trained networks (both students of stage 2), the probabilities "
        "of the expansion network and the clicks to a dense mask of every training case. With several folds, a case is "
        "predicted by the fold that was not trained on it. The same command resumes. "
        "Exit status: 0 all cases have masks, 2 some cases, the model or a folder cannot be used.",
        epilog="example: paseg complete -d 101 -c 3d_fullres -f 0 1 2 3 4 -o masks --as-dataset 102",
    )
    parser.add_argument("-d", "--dataset", required=True, help="dataset number or name")
    parser.add_argument("-c", "--configuration", default="3d_fullres", help="configuration (default: %(default)s)")
    parser.add_argument(
        "-f", "--folds", nargs="+", default=["0", "1", "2", "3", "4"], help="trained folds, or all (default: 0 1 2 3 4)"
    )
    parser.add_argument("-tr", "--trainer", default="PASegStage2Trainer", help="trainer (default: %(default)s)")
    parser.add_argument("-p", "--plans", default="nnUNetPlans", help="plans (default: %(default)s)")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the masks, CASE.nii.gz")
    parser.add_argument(
        "-device", "--device", choices=("cuda", "cpu", "mps"), default="cuda", help="default: %(default)s"
    )
    parser.add_argument(
        "-np",
        "--num-processes",
        type=int,
        default=3,
        help="number of cases preprocessed or completed at the same time (default: %(default)s)",
    )
    parser.add_argument(
        "--expander",
        type=Path,
        metavar="FILE",
        help="weights of an expansion network of your own (default: those of this package)",
    )
    parser.add_argument("--as-dataset", metavar="NUMBER", help="also write a dense nnU-Net dataset of this number")
    parser.add_argument(
        "--images",
        choices=("link", "copy", "reference"),
        help="with --as-dataset: hard-link or copy the images, or refer to them in place (default: link)",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="complete all cases again if the folder has masks of other options"
    )
    add_json_argument(parser)
    parser.set_defaults(func=_run)


def _run(arguments: argparse.Namespace) -> int:
    if arguments.images and not arguments.as_dataset:
        raise PasegError("--images has no effect without --as-dataset NUMBER: pass both, or leave it out.")
    from nnunet_paseg.completion.cases import complete_dataset
    from nnunet_paseg.completion.dataset import ClickedDataset
    from nnunet_paseg.completion.dense_dataset import free_target, write_dataset
    from nnunet_paseg.completion.folder import KEY, CompletionFolder
    from nnunet_paseg.completion.model import checkpoint_state
    from nnunet_paseg.completion.summary import summary, to_json, write_table
    from nnunet_paseg.nnunet.export import find_dataset, results_folder
    from nnunet_paseg.nnunet.installation import device_faults
    from nnunet_paseg.seeds.learned.weights import load_expander

    if faults := list(device_faults(arguments.device)):
        raise PasegError(f"{faults[0].message}.")
    folds = list(dict.fromkeys(arguments.folds))
    name = find_dataset(arguments.dataset)
    model = results_folder() / name / f"{arguments.trainer}__{arguments.plans}__{arguments.configuration}"
    checkpoints = {fold: checkpoint_state(model, fold) for fold in folds}
    dataset = ClickedDataset.open(name, needs_splits=any(fold != "all" for fold in folds))
    target = free_target(arguments.as_dataset, dataset) if arguments.as_dataset else None
    if arguments.output.resolve().is_relative_to(dataset.folder.resolve()):
        raise PasegError(f"{arguments.output} is in the dataset {dataset.folder}: name a folder outside of it.")
    folder = CompletionFolder(
        arguments.output,
        {
            "channel_names": dataset.channel_names,
            "labels": {"background": 0, **dataset.labels},
            "file_ending": ".nii.gz",
            KEY: {
                "version": __version__,
                "dataset": name,
                "model": model.name,
                "checkpoints": checkpoints,
                "expander_sha256": load_expander(arguments.expander).sha256,
            },
        },
    )
    cases = dataset.cases(folds)
    folder.open(overwrite=arguments.overwrite)
    result = complete_dataset(
        dataset,
        cases,
        model,
        folder,
        expander=arguments.expander,
        device=arguments.device,
        num_processes=arguments.num_processes,
    )
    write_table(result, folder.path)
    if target is not None and not result.problems:
        write_dataset(target, dataset, cases, folder, result.records, arguments.images or "link")
    if arguments.json:
        print_json(to_json(result, dataset.labels, folder.path, None if result.problems else target))
    else:
        print(summary(result, dataset.labels, folder.path), flush=True)
        if target is not None and not result.problems:
            print(f"{target}: a dense dataset of {len(cases)} cases")
    for _, problem in sorted(result.problems.items()):
        print(f"paseg: error: {' '.join(problem.split())}", file=sys.stderr)
    if target is not None and result.problems:
        print(f"paseg: error: {target.name} is not written before all cases are completed.", file=sys.stderr)
    return 2 if result.problems else 0
