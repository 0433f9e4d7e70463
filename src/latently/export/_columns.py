"""The columns of a table as inputs of a graph, and their encoding."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from latently.export._graph import INNER, Graph, Value
from latently.preprocessing import (
    FAR,
    BooleanCodec,
    CategoryCodec,
    ColumnCodec,
    OrdinalCodec,
    TablePreprocessor,
    TimeCodec,
)

#: Marks a missing time: the least 64-bit integer, as NaT of NumPy.
MISSING_TIME = -(2**63)
#: Names of the optional input, and of the outputs that are no column.
THRESHOLD = "threshold"
OUTPUTS = ("score", "p_value", "flag", "code", "reconstruction", "reconstruction_error")
#: Beginning of the names of reconstructed columns, and of columns with a reserved name.
REBUILT, _RENAMED = "reconstruction.", "column."
#: The input of a model that was fitted to an array.
ARRAY = "X"
#: Numbers beyond these are infinite.
_LARGEST = float(np.finfo(np.float64).max)
#: Texts of which the first that is no category marks a missing category.
_MISSING_TEXTS = ("", "<missing>", "<NA>")

Kind = Literal["number", "boolean", "category", "ordered", "time"]


@dataclass(frozen=True)
class ExportedColumn:
    """A column of an exported model.

    Parameters
    ----------
    name : str
        Name of the column in ``fit``.
    input : str
        Name of the input of the graph.
    kind : {"number", "boolean", "category", "ordered", "time"}
        Kind of the values.
    type : {"float64", "string", "int64"}
        Type of the elements of the input.
    missing : str or int or None
        Value that marks a missing cell. None means NaN.
    unit : str or None, default=None
        Unit of a time: "ns", "us", "ms", "s" or "D" since 1970, or since midnight.
    """

    name: str
    input: str
    kind: Kind
    type: Literal["float64", "string", "int64"]
    missing: str | int | None
    unit: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the attributes by name."""
        return asdict(self)


class Encoded(NamedTuple):
    """Encoded rows in a graph.

    Attributes
    ----------
    values : Value of shape (n_rows, width) or (n_rows, channels, height, width)
        Encoded elements, zero where a cell is missing.
    observed : Value of bool, shape (n_rows, n_columns), or None
        True where a cell holds a value, None if no cell can be missing.
    """

    values: Value
    observed: Value | None


def exported_columns(preprocessor: TablePreprocessor) -> list[ExportedColumn]:
    """Return the columns of a table in the user's order.

    Parameters
    ----------
    preprocessor : TablePreprocessor
        Of a fitted model.
    """
    names = preprocessor.column_names
    found = {
        int(place): ExportedColumn(
            names[place], _input_name(names[place]), "number", "float64", None
        )
        for place in preprocessor.positions
    }
    for codec in preprocessor.codecs:
        found[codec.position] = _exported(codec)
    return [found[place] for place in sorted(found)]


def _exported(codec: Any) -> ExportedColumn:
    name, given = codec.name, _input_name(codec.name)
    if isinstance(codec, BooleanCodec):
        return ExportedColumn(name, given, "boolean", "float64", None)
    if isinstance(codec, TimeCodec):
        return ExportedColumn(name, given, "time", "int64", MISSING_TIME, codec.unit)
    missing = next(text for text in _MISSING_TEXTS if text not in texts_of(codec))
    kind: Kind = "category" if isinstance(codec, CategoryCodec) else "ordered"
    return ExportedColumn(name, given, kind, "string", missing)


def _input_name(name: str) -> str:
    is_reserved = name in (THRESHOLD, *OUTPUTS) or not name
    if is_reserved or name.startswith((INNER, REBUILT, _RENAMED)):
        return _RENAMED + name
    return name


def texts_of(codec: CategoryCodec | OrdinalCodec) -> list[str]:
    """Return the categories of a codec as texts."""
    return [str(category) for category in codec.categories]


def is_array(preprocessor: TablePreprocessor) -> bool:
    """Return True if ``fit`` saw an array, whose columns are one input."""
    return preprocessor.spec.names is None


def encode_table(graph: Graph, preprocessor: TablePreprocessor) -> Encoded:
    """Add the inputs of a table, and encode them.

    Parameters
    ----------
    graph : Graph
        The graph.
    preprocessor : TablePreprocessor
        Of a fitted model.

    Returns
    -------
    Encoded
        Rows of the width of the layout.
    """
    if is_array(preprocessor):
        n_columns = len(preprocessor.positions)
        numbers = graph.add_input(ARRAY, np.float64, ["rows", n_columns])
        return _encode_numbers(preprocessor, numbers)
    columns = exported_columns(preprocessor)
    kinds = {"float64": np.float64, "string": object, "int64": np.int64}
    given = [
        graph.add_input(column.input, kinds[column.type], ["rows"]).reshape(-1, 1)
        for column in columns
    ]
    parts = []
    if len(preprocessor.positions):
        numbers = graph.concat([given[place] for place in preprocessor.positions])
        parts.append(_encode_numbers(preprocessor, numbers))
    parts += [
        _encode(codec, given[codec.position], columns[codec.position].missing)
        for codec in preprocessor.codecs
    ]
    values, seen = zip(*parts, strict=True)
    return Encoded(graph.concat(values), graph.concat(seen))


def _encode_numbers(preprocessor: TablePreprocessor, numbers: Value) -> Encoded:
    """Standardise numbers. Beyond 1e9 standard deviations they grow with the logarithm."""
    graph, scale = numbers.graph, preprocessor.scale
    center = np.where(np.isnan(preprocessor.center), 0.0, preprocessor.center)
    missing = numbers.is_nan()
    empty = np.isnan(preprocessor.center)
    if empty.any():
        missing = missing | empty[None]
    finite = graph.where(missing, center[None], numbers)
    finite = finite.maximum(-_LARGEST).minimum(_LARGEST)
    scaled = (finite - center) / scale
    # Halves, because the difference of two large numbers may overflow.
    size = (finite * 0.5 - 0.5 * center).abs().maximum(np.finfo(np.float64).tiny)
    logs = size.log() - np.log(scale / 2)
    far = scaled.sign() * (logs + (1 - np.log(FAR))) * FAR
    values = graph.where(scaled.abs() > FAR, far, scaled)
    if preprocessor.number_likelihood != "gaussian":
        values = values.maximum(0.0).minimum(1.0)
    # A center beside zero would leave a rounding error where a cell is missing.
    return Encoded(graph.where(missing, np.zeros((1, 1)), values), ~missing)


def _encode(codec: ColumnCodec, given: Value, missing: Any) -> Encoded:
    if isinstance(codec, BooleanCodec):
        gap = given.is_nan()
        truth = (given > 0.5).cast(np.float64)
        return Encoded(given.graph.where(gap, np.zeros((1, 1)), truth), ~gap)
    if isinstance(codec, TimeCodec):
        return _encode_times(codec, given)
    assert isinstance(codec, CategoryCodec | OrdinalCodec)
    code = given.graph.look_up(given, texts_of(codec), missing)
    if isinstance(codec, CategoryCodec):
        places = np.arange(codec.width)[None]
        return Encoded(code.equals(places).cast(np.float64), code >= 0)
    known = (code >= 0) & (code < len(codec.categories))
    steps = (code > np.arange(codec.width)[None]) & known
    return Encoded(steps.cast(np.float64), known)


def _encode_times(codec: TimeCodec, ticks: Value) -> Encoded:
    """Encode integer ticks as a standardised number, and sine and cosine of each cycle."""
    graph = ticks.graph
    observed = ~ticks.equals(MISSING_TIME)
    near = graph.where(observed, ticks, np.full((1, 1), codec.origin))
    seconds = (near - codec.origin).cast(np.float64) * codec.seconds_per_tick
    elements = [(seconds - codec.center) / codec.scale]
    for period in codec.periods:
        angle = _phase(codec, near, int(period)) * (2 * np.pi) / period
        elements += [angle.sin(), angle.cos()]
    values = graph.where(observed, graph.concat(elements), np.zeros((1, 1)))
    return Encoded(values, observed)


def _phase(codec: TimeCodec, ticks: Value, period: int) -> Value:
    """Return the seconds since the start of the cycle."""
    if codec.seconds_per_tick > 1:
        return (ticks * round(codec.seconds_per_tick) % period).cast(np.float64)
    per_second = round(1 / codec.seconds_per_tick)
    rest = ticks % per_second
    whole = (ticks - rest) / per_second
    return (whole % period).cast(np.float64) + rest.cast(np.float64) / per_second
