"""Locations as the text has them: MLIR's normal form of fused ones, and names without files."""

from __future__ import annotations

from collections.abc import Iterable

from qir.ir.location import UNKNOWN, CallSiteLoc, FileLineColLoc, FusedLoc, Location, NameLoc, UnknownLoc

__all__ = ["fused_place", "without_files"]


def fused_place(places: Iterable[Location], metadata: object = None) -> Location:
    """``fused<metadata>[places]`` as MLIR keeps it: none unknown, none twice, none fused inside its like."""
    flat: dict[Location, None] = {}
    for place in places:
        if isinstance(place, FusedLoc) and place.metadata == metadata:
            flat.update(dict.fromkeys(place.locations))
        elif not isinstance(place, UnknownLoc):
            flat[place] = None
    if metadata is None and len(flat) < 2:
        return next(iter(flat), UNKNOWN)
    return FusedLoc(tuple(flat), metadata)


def without_files(location: Location) -> Location:
    """The names in a location, without files and lines."""
    if isinstance(location, NameLoc):
        child = without_files(location.child)
        return location if child is location.child else NameLoc(location.name, child)
    if isinstance(location, FileLineColLoc):
        return UNKNOWN
    if isinstance(location, FusedLoc):
        parts = tuple(map(without_files, location.locations))
        return fused_place(parts, location.metadata) if any(p != UNKNOWN for p in parts) else UNKNOWN
    if isinstance(location, CallSiteLoc):
        callee, caller = without_files(location.callee), without_files(location.caller)
        if isinstance(callee, UnknownLoc):
            return caller
        return callee if isinstance(caller, UnknownLoc) else CallSiteLoc(callee, caller)
    return location
