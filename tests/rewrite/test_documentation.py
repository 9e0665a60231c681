"""The example of docs/rewriting.md prints what the page shows."""

import contextlib
import io
import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "rewriting.md"


def test_the_example():
    program, shown = re.findall(r"^```(?:python|text)\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(program, str(PAGE), "exec"), {"__name__": "example"})
    assert out.getvalue().strip() == shown.strip()
