"""Names for files that go by names: one for each value and record, without spaces, and never the same twice."""

from __future__ import annotations

from qir.dialects.func import FuncOp
from qir.interpreter.lookup import port_names
from qir.ir import Value

__all__ = ["Names", "ValueNames"]


class Names:
    """Gives names, each once: as wanted, else with a number behind it; spaces become underscores."""

    def __init__(self, longest: int = 200) -> None:
        self.longest = longest
        self.taken: set[str] = set()

    def unique(self, wanted: str) -> str:
        base = "_".join(wanted.split())[: self.longest] or "_"
        name, number = base, 0
        while name in self.taken:
            name, number = f"{base}_{number}", number + 1
        self.taken.add(name)
        return name


class ValueNames(Names):
    """The names of a function's values: the model's for results and arguments, else those in the text.

    Raises QirError where a name that users know holds spaces, which the file cannot.
    """

    def __init__(self, function: FuncOp, longest: int = 200) -> None:
        super().__init__(longest)
        inputs, outputs = port_names(function)
        self.names: dict[Value, str] = {}
        for value, name in (
            *zip(function.return_op.operands, outputs, strict=True),
            *zip(function.body.args, inputs, strict=True),
        ):
            if name.split() != [name] or len(name) > longest:
                raise function.error(f"cannot be written: the name '{name}' has spaces or is too long", "rename it")
            self.names.setdefault(value, self.unique(name))

    def __getitem__(self, value: Value) -> str:
        if value not in self.names:
            self.names[value] = self.unique(value.name or "blob")
        return self.names[value]
