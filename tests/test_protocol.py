"""Packages use each other's objects by public names, and models by what they can do.

``estimators/_protocol.py`` describes what takes the place of private methods and of ``isinstance``.
"""

import ast
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from torch import nn

import latently
from latently.estimators import BaseAutoencoder
from latently.tasks import AutoencoderTask

SOURCE = Path(latently.__file__).parent
#: Packages that use models of any kind, whose kinds are defined in the packages below.
ABOVE_ESTIMATORS = ("tasks", "tuning", "inspection", "persistence", "monitoring", "report", "cli")
#: Public in spite of their underscore, which sets them apart from the fields of the tuple.
OF_NAMED_TUPLES = ("_asdict", "_fields", "_make", "_replace")


@cache
def trees() -> dict[Path, ast.Module]:
    return {
        path.relative_to(SOURCE): ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted(SOURCE.rglob("*.py"))
    }


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__") and name not in OF_NAMED_TUPLES


def is_own(receiver: ast.expr) -> bool:
    """Return True for self, cls and super(), by which a class uses its own private names."""
    if isinstance(receiver, ast.Call):
        receiver = receiver.func
    return isinstance(receiver, ast.Name) and receiver.id in ("self", "cls", "super")


def defined(tree: ast.AST) -> Iterator[str]:
    """Yield the private names that a file defines: functions, variables and attributes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif not isinstance(getattr(node, "ctx", None), ast.Store):
            continue
        elif isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute) and is_own(node.value):
            yield node.attr


def used(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield the private attributes of other objects that a file uses, with their lines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and not is_own(node.value):
            name = node.attr
        elif isinstance(node, ast.Call) and names_attribute(node) and not is_own(node.args[0]):
            name = node.args[1].value
        else:
            continue
        if is_private(name):
            yield name, node.lineno


def names_attribute(call: ast.Call) -> bool:
    is_getter = isinstance(call.func, ast.Name) and call.func.id in ("getattr", "hasattr")
    return is_getter and len(call.args) > 1 and isinstance(call.args[1], ast.Constant)


def test_no_package_uses_a_private_attribute_of_another():
    """Private attributes of torch and other libraries are the matter of test_private_names."""
    owners = defaultdict(set)
    for path, tree in trees().items():
        for name in filter(is_private, defined(tree)):
            owners[name].add(path.parts[0])
    reaches = [
        f"{path}:{line}: {name} of {', '.join(sorted(owners[name]))}"
        for path, tree in trees().items()
        for name, line in used(tree)
        if owners[name] and path.parts[0] not in owners[name]
    ]
    assert not reaches


def subclasses(cls: type) -> set[type]:
    return {cls}.union(*map(subclasses, cls.__subclasses__()))


@cache
def kinds() -> set[str]:
    """Return the names of our models, tasks, networks and torch modules."""
    bases = (BaseAutoencoder, AutoencoderTask, nn.Module)
    networks = {cls for cls in vars(latently.nn).values() if hasattr(cls, "build")}
    found = networks.union(*map(subclasses, bases))
    return {cls.__name__ for cls in found if cls.__module__.startswith("latently.")}


def asked_kinds(node: ast.AST) -> Iterator[str]:
    """Yield the kinds that an expression compares the type of an object with."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        asked = node.args[1:] if node.func.id in ("isinstance", "issubclass") else []
    elif isinstance(node, ast.Compare) and isinstance(node.left, ast.Call):
        is_type = isinstance(node.left.func, ast.Name) and node.left.func.id == "type"
        asked = node.comparators if is_type else []
    else:
        return
    for name in (part for one in asked for part in ast.walk(one)):
        if isinstance(name, ast.Name) and name.id in kinds():
            yield name.id
        elif isinstance(name, ast.Attribute) and name.attr in kinds():
            yield name.attr


def test_no_package_above_estimators_asks_for_the_class_of_a_model():
    questions = [
        f"{path}:{node.lineno}: {kind}"
        for path, tree in trees().items()
        if path.parts[0] in ABOVE_ESTIMATORS
        for node in ast.walk(tree)
        for kind in asked_kinds(node)
    ]
    assert not questions


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("isinstance(model, Autoencoder)", ["Autoencoder"]),
        ("isinstance(model, estimators.NeighborAutoencoder | None)", ["NeighborAutoencoder"]),
        ("isinstance(network, (list, DenseNetwork))", ["DenseNetwork"]),
        ("type(model) is AnomalyDetector", ["AnomalyDetector"]),
        ("isinstance(X, np.ndarray)", []),
    ],
)
def test_a_question_for_a_class_is_recognised(line, found):
    tree = ast.parse(line)
    assert [kind for node in ast.walk(tree) for kind in asked_kinds(node)] == found


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("model._read(X)", ["_read"]),
        ("case.model._read", ["_read"]),
        ("getattr(model, '_rotation', None)", ["_rotation"]),
        ("self._read(X), super()._read(X), cls._read", []),
        ("model.__sklearn_tags__()", []),
        ("hasattr(self, '_reference')", []),
    ],
)
def test_a_private_attribute_of_another_object_is_recognised(line, found):
    assert [name for name, _ in used(ast.parse(line))] == found
