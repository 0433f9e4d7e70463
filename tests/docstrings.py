"""Validate every public docstring as numpydoc, imported, so that shared parameters are seen too."""

from __future__ import annotations

import inspect
import sys

from numpydoc.validate import validate

import latently
from latently import datasets, exceptions, io, monitoring

#: See numpydoc's list. Left out: extended summary, see also, examples for every method, and the
#: rules on line breaks that other formatters decide.
IGNORED = {"ES01", "SA01", "SA04", "EX01", "GL01", "GL02", "GL03", "GL08", "RT02", "YD01"}
#: Inherited from scikit-learn, which documents them.
FOREIGN = {"get_metadata_routing", "set_output", "get_params", "set_params", "fit_transform",
           "fit_predict", "set_fit_request", "set_partial_fit_request", "set_score_samples_request",
           "set_inverse_transform_request"}  # fmt: skip


def public_names() -> list[str]:
    """Return every public function, class and method."""
    names = []
    for module in (latently, datasets, exceptions, io, monitoring):
        for name in module.__all__:
            thing = getattr(module, name)
            if not (inspect.isclass(thing) or inspect.isfunction(thing)):
                continue
            path = f"{thing.__module__}.{thing.__qualname__}"
            names.append(path)
            if inspect.isclass(thing):
                names += [f"{path}.{method}" for method in public_methods(thing)]
    return sorted(set(names))


def public_methods(cls: type) -> list[str]:
    """Return the methods that latently itself defines."""
    return [
        name
        for name, member in inspect.getmembers(cls, inspect.isfunction)
        if not name.startswith("_")
        and name not in FOREIGN
        and member.__module__.startswith("latently")
    ]


def complaints() -> list[str]:
    """Return one line for each fault."""
    return [
        f"{name}: {code} {message}"
        for name in public_names()
        for code, message in validate(name)["errors"]
        if code not in IGNORED
    ]


if __name__ == "__main__":
    found = complaints()
    print("\n".join(found) or f"{len(public_names())} public docstrings are sound")
    sys.exit(bool(found))
