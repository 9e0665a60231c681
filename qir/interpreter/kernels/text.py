"""Strings: numpy arrays of str, on the host."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from qir.interpreter.node import Node
from qir.interpreter.registry import Kernel, kernel
from qir.interpreter.values import as_array, as_tensor
from qir.ir import TensorAttr


def _mapped(array: NDArray[Any], function: Callable[[str], Any], dtype: Any = object) -> NDArray[Any]:
    """An array of what a function makes of each string."""
    result = np.empty(array.shape, dtype)
    for index, value in np.ndenumerate(array):
        result[index] = function(str(value))
    return result


@kernel("onnx.StringConcat")
def _string_concat(node: Node) -> Kernel:
    def run(x: NDArray[Any], y: NDArray[Any]) -> Any:
        return np.asarray(x.astype(object) + y.astype(object), object)

    return run


@kernel("onnx.StringSplit")
def _string_split(node: Node) -> Kernel:
    """Parts of each string, filled up with empty ones, and how many there were."""
    delimiter, most = node.attr("delimiter", None) or None, node.attr("maxsplit", None)

    def run(x: NDArray[Any]) -> Any:
        parts = _mapped(x, lambda text: text.split(delimiter, -1 if most is None else most))
        counts = np.array([len(p) for p in parts.reshape(-1)], np.int64).reshape(x.shape)
        longest = int(counts.max(initial=0))
        padded = np.full((*x.shape, longest), "", object)
        for index, found in np.ndenumerate(parts):
            padded[index][: len(found)] = found
        return padded, torch.from_numpy(counts)

    return run


def _without_accents(text: str) -> str:
    if text.isascii():
        return text
    return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))


@kernel("onnx.StringNormalizer")
def _string_normalizer(node: Node) -> Kernel:
    """Drops stop words, changes the case; strings that become empty go."""
    action, sensitive = node.attr("case_change_action", "NONE"), bool(node.attr("is_case_sensitive", 0))
    change: Callable[[str], str] = {"LOWER": str.lower, "UPPER": str.upper}.get(action, str)
    words = node.attr("stopwords", None) or ()
    stops = set(words) if sensitive else {word.lower() for word in words}

    def run(x: NDArray[Any]) -> Any:
        texts = [_without_accents(str(v)) for v in x.reshape(-1)]
        kept = [change(t) for t in texts if (t if sensitive else t.lower()) not in stops and t]
        result = np.array(kept or [""], object)
        return result if x.ndim == 1 else result.reshape(1, -1)

    return run


@kernel("onnx.RegexFullMatch")
def _regex_full_match(node: Node) -> Kernel:
    pattern = re.compile(node.attr("pattern", ""))
    return lambda x: torch.from_numpy(_mapped(x, lambda text: pattern.fullmatch(text) is not None, np.bool_))


@kernel("onnx.TfIdfVectorizer")
def _tf_idf_vectorizer(node: Node) -> Kernel:
    """Counts of n-grams, with up to `max_skip_count` items between theirs; weighted or only marked by `mode`."""
    shortest, longest = node.attr("min_gram_length"), node.attr("max_gram_length")
    skips, mode = node.attr("max_skip_count"), node.attr("mode")
    pool = node.attr("pool_strings", None) or node.attr("pool_int64s", None) or ()
    starts, places = [*node.attr("ngram_counts"), len(pool)], node.attr("ngram_indexes")
    weights = node.attr("weights", None)
    grams: dict[tuple[Any, ...], int] = {}
    for size in range(1, len(starts)):
        for start in range(starts[size - 1], starts[size], size):
            grams[tuple(pool[start : start + size])] = len(grams)
    width = max(places) + 1

    def row(items: Sequence[Any]) -> NDArray[Any]:
        counts = np.zeros(width, np.float32)
        for size in range(shortest, longest + 1):
            for skip in range(skips + 1 if size > 1 else 1):
                for start in range(len(items) - (size - 1) * (skip + 1)):
                    found = grams.get(tuple(items[start + i * (skip + 1)] for i in range(size)))
                    if found is not None:
                        counts[places[found]] += 1
        if mode == "TF":
            return counts
        factors = np.ones(width, np.float32)
        for position, place in enumerate(places):
            factors[place] = 1.0 if weights is None else weights[position]
        return np.where(counts > 0, factors, np.float32(0)) if mode == "IDF" else counts * factors

    def run(x: Any) -> Any:
        array = as_array(x)
        items = array.reshape(-1, array.shape[-1]) if array.ndim > 1 else array.reshape(1, -1)
        rows = np.stack([row(r.tolist()) for r in items])
        return as_tensor(rows if array.ndim > 1 else rows[0], node.device)

    return run


def _list_of(node: Node, stem: str) -> tuple[list[Any], str] | None:
    """A list of keys or values of a label encoder, in whichever attribute it is given, and that attribute's kind."""
    for kind in ("tensor", "strings", "int64s", "floats"):
        value = node.attr(f"{stem}_{kind}", None)
        if isinstance(value, TensorAttr):
            return [v.decode() if isinstance(v, bytes) else v for v in value.numpy().reshape(-1).tolist()], kind
        if value is not None:
            return list(value), kind
    return None


_DEFAULTS: dict[str, tuple[str, Any, Any]] = {
    "strings": ("default_string", "_Unused", object),
    "int64s": ("default_int64", -1, np.int64),
    "floats": ("default_float", -0.0, np.float32),
}


@kernel("ai.onnx.ml.LabelEncoder")
def _label_encoder(node: Node) -> Kernel:
    keys, values = _list_of(node, "keys"), _list_of(node, "values")
    if keys is None or values is None:
        raise node.error("has no list of keys or of values", "give keys_* and values_*")
    table = dict(zip(keys[0], values[0], strict=True))
    missing_key = next((v for k, v in table.items() if k != k), None)  # NaN equals nothing, not even itself
    default: Any
    if values[1] == "tensor":
        given = node.attr("default_tensor", None)
        array = node.attr("values_tensor").numpy()
        default = given.numpy().reshape(-1)[0] if given is not None else array.dtype.type(0)
        default, dtype = default.decode() if isinstance(default, bytes) else default, array.dtype
    else:
        name, fallback, dtype = _DEFAULTS[values[1]]
        default = node.attr(name, fallback)

    def run(x: Any) -> Any:
        array = as_array(x)
        result = np.empty(array.shape, dtype)
        for index, key in np.ndenumerate(array):
            known = key.item() if isinstance(key, np.generic) else key
            result[index] = missing_key if known != known and missing_key is not None else table.get(known, default)
        return as_tensor(result, node.device)

    return run


@kernel("ai.onnx.ml.Binarizer")
def _binarizer(node: Node) -> Kernel:
    threshold = node.attr("threshold", 0.0)
    return lambda x: (x > threshold).to(x.dtype)
