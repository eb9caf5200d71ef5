#!/usr/bin/env python3
"""Run `paseg convert decathlon` from a checkout."""

from nnunet_paseg.conversion.commands.common import run
from nnunet_paseg.conversion.commands.decathlon import build_parser, main

if __name__ == "__main__":
    raise SystemExit(run(main, build_parser()))
