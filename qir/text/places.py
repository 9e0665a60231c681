"""Locations as the pretty form has them: names without files."""

from __future__ import annotations

from qir.ir.location import UNKNOWN, CallSiteLoc, FileLineColLoc, FusedLoc, Location, NameLoc, UnknownLoc, fuse

__all__ = ["without_files"]


def without_files(location: Location) -> Location:
    """The names in a location, without files and lines."""
    if isinstance(location, NameLoc):
        child = without_files(location.child)
        return location if child is location.child else NameLoc(location.name, child)
    if isinstance(location, FileLineColLoc):
        return UNKNOWN
    if isinstance(location, FusedLoc):
        parts = tuple(map(without_files, location.locations))
        return fuse(parts, location.metadata) if any(p != UNKNOWN for p in parts) else UNKNOWN
    if isinstance(location, CallSiteLoc):
        callee, caller = without_files(location.callee), without_files(location.caller)
        if isinstance(callee, UnknownLoc):
            return caller
        return callee if isinstance(caller, UnknownLoc) else CallSiteLoc(callee, caller)
    return location
