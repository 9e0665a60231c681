"""What the benchmarks beside xDSL share: their arguments, and a process for each library that measures on request.

Only the standard library is imported: the script also runs in xDSL's own environment.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["Worker", "parse_arguments", "start_workers"]


class Worker:
    """A process that runs ``script --serve library`` and answers a line of JSON with a line of JSON."""

    def __init__(self, script: str, python: str, library: str) -> None:
        command = [python, str(Path(script).resolve()), "--serve", library]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __call__(self, request: Any) -> Any:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def parse_arguments(
    doc: str | None, serve: Callable[[str], None], extra: Callable[[argparse.ArgumentParser], Any] | None = None
) -> argparse.Namespace:
    """The command line; with ``--serve`` it serves and exits, without a Python that has xDSL it exits with 2."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--xdsl", default=os.environ.get("XDSL_PYTHON"), help="a Python that has xDSL")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10000, 100000])
    parser.add_argument("--repeat", type=int, default=3)
    if extra is not None:
        extra(parser)
    args = parser.parse_args()
    if args.serve:
        serve(args.serve)
        raise SystemExit(0)
    if not args.xdsl:
        print("give --xdsl PYTHON (or $XDSL_PYTHON), an interpreter that has xDSL", file=sys.stderr)
        raise SystemExit(2)
    return args


def start_workers(script: str, xdsl: str) -> dict[str, Worker]:
    """One process for each library."""
    return {"qir": Worker(script, sys.executable, "qir"), "xDSL": Worker(script, xdsl, "xdsl")}
