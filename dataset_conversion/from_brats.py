#!/usr/bin/env python3
"""Run `paseg convert brats` from a checkout."""

from nnunet_paseg.conversion.commands.brats import build_parser, main
from nnunet_paseg.conversion.commands.common import run

if __name__ == "__main__":
    raise SystemExit(run(main, build_parser()))
