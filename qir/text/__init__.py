"""Texts: reading and writing modules in MLIR's syntax, pretty and generic."""

from qir.text.files import write_module
from qir.text.parser import decode_text, parse_attribute, parse_file, parse_module, parse_type, read_text
from qir.text.printer import print_module, print_op

__all__ = [
    "decode_text",
    "parse_attribute",
    "parse_file",
    "parse_module",
    "parse_type",
    "print_module",
    "print_op",
    "read_text",
    "write_module",
]
