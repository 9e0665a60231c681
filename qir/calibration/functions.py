"""Calibration data from Python: ``module:function``."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from qir.calibration.data import Record
from qir.ir import QirError, fail

__all__ = ["FunctionData", "said"]


class FunctionData:
    """The dictionaries that a function without arguments yields or returns: input name to array or tensor.

    The module is looked for in the current folder first. Raises QirError where it is not found, or gives anything else.
    """

    def __init__(self, module: str, function: str) -> None:
        self.name = f"{module}:{function}"
        here = os.getcwd()
        sys.path.insert(0, here)
        try:
            loaded = importlib.import_module(module)
        except ImportError as error:
            message = f"the module '{module}' cannot be imported: {error}"
            fail(self.name, message, f"it is looked for in {here} and among installed packages")
        except (Exception, SystemExit) as error:
            fail(self.name, f"the module '{module}' cannot be imported: {said(error)}")
        finally:
            sys.path.remove(here)
        self.function = getattr(loaded, function, None)
        if not callable(self.function):
            message = f"the module '{module}' has no function '{function}'"
            fail(self.name, message, "define a function that yields dictionaries")

    def __iter__(self) -> Iterator[Record]:
        for number, sample in enumerate(self._samples()):
            if not isinstance(sample, Mapping):
                message = f"sample {number} of {self.name} is {type(sample).__name__}, not a dictionary of arrays"
                fail(self.name, message, "yield {input name: array}")
            yield Record(self.name, {str(name): _array(value, self.name, str(name)) for name, value in sample.items()})

    def _samples(self) -> Iterator[Any]:
        """What the function gives. Raises QirError for whatever it raises."""
        try:
            samples = self.function()  # type: ignore[misc]
            yield from [samples] if isinstance(samples, Mapping) else iter(samples)
        except (QirError, GeneratorExit):
            raise
        except (Exception, SystemExit) as error:
            fail(
                self.name, f"{self.name} failed: {said(error)}", "it takes no arguments and yields {input name: array}"
            )


def said(error: BaseException) -> str:
    """A user's exception in words, with the line of the user's code that raised it."""
    place, trace = "", error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if not trace.tb_frame.f_globals.get("__name__", "").startswith("qir.") and os.path.isfile(file):
            place = f" ({file}:{trace.tb_lineno})"
        trace = trace.tb_next
    return f"{type(error).__name__}: {error}{place}"


def _array(value: Any, place: str, name: str) -> Any:
    import numpy as np

    if hasattr(value, "detach"):  # a torch tensor, without importing torch for it
        value = value.detach().cpu().numpy()
    array = np.asarray(value)
    if array.dtype.hasobject:
        fail(place, f"'{name}' is no array of numbers", "yield numpy arrays or torch tensors")
    return array
