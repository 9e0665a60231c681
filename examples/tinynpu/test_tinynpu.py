"""The conformance kit as a test: `pytest`, or `qir check-target tinynpu` to see its table."""

from __future__ import annotations

from qir.tools.qir import main


def test_the_target_keeps_what_its_data_sheet_says() -> None:
    assert main(["check-target", "tinynpu", "--no-zoo"]) == 0
