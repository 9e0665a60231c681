"""The tables of docs/semantics.md are run as they stand, and its rounding table is the code's."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import torch

from qir.numerics import ROUNDINGS, round_

PAGE = Path(__file__).parents[2] / "docs" / "semantics.md"


def test_examples() -> None:
    text = PAGE.read_text()
    blocks = re.findall(r"```pycon\n(.*?)```", text, re.DOTALL)
    assert len(blocks) >= 8
    example = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, PAGE.name, str(PAGE), 0)
    report: list[str] = []
    runner = doctest.DocTestRunner(verbose=False)
    runner.run(example, out=report.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(report)


def test_rounding_table() -> None:
    rows = dict(re.findall(r"^\| `(\w+)`[^|]*\| (-?\d.*) \|$", PAGE.read_text(), re.MULTILINE))
    inputs = [2.5, -2.5, 3.5, 2.4, -2.6]
    for mode in ROUNDINGS[:-1]:
        assert [int(cell) for cell in rows[mode].split(" | ")] == round_(torch.tensor(inputs), mode).tolist()
