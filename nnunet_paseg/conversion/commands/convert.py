"""`paseg convert`: one command per kind of source, whose module is loaded when the command is called."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib import import_module
from typing import Any

SOURCES = {
    "folder": "your own images and points, in any supported format",
    "paseg-points": "images and PA-Seg's published label maps of points",
    "dense": "a densely annotated nnU-Net raw dataset, points simulated",
    "decathlon": "a task of the Medical Segmentation Decathlon, points simulated",
    "brats": "BraTS 2019, 2020 or 2021, points simulated",
    "vs": "TCIA's Vestibular-Schwannoma-SEG, points simulated",
}


class SourceParser(argparse.ArgumentParser):
    """Parser of one source, which loads the source's module (and torch with it) only once it parses."""

    def __init__(self, *, source: str = "", **options: Any) -> None:
        super().__init__(**options)
        self.source = source

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse with the parser of the source's module."""
        module = import_module(f"{__package__}.{self.source.replace('-', '_')}")
        parser = module.build_parser()
        parser.prog = self.prog
        parsed, rest = parser.parse_known_args(args, namespace)
        parsed.convert_source = module.main
        return parsed, rest


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `paseg convert`."""
    parser = subparsers.add_parser(
        "convert",
        help="convert images and points to an nnU-Net raw dataset",
        description="Convert images and points, or images and dense masks, to an nnU-Net raw dataset.",
        epilog="example: paseg convert folder images points 101 --name Tumor --classes tumor",
    )
    sources = parser.add_subparsers(title="sources", metavar="SOURCE", required=True, parser_class=SourceParser)
    for name, text in SOURCES.items():
        sources.add_parser(name, source=name, help=text)
    parser.set_defaults(func=_run)


def _run(arguments: argparse.Namespace) -> int:
    arguments.convert_source(arguments)
    return 0
