"""Filled tables on their way out: every cell that was not filled is as it was."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from latently.cli._data import Source, id_names, names_of_fit, spec_of

if TYPE_CHECKING:
    import pyarrow as pa

    from latently.cli._output import Target
    from latently.io import TableDataset, TextOptions


def options_of(source: Source, model: Any, target: Target) -> TextOptions:
    """Return how to read a table that is filled: with its cells as they are, beside the values.

    Text that goes into another format than text does without.
    """
    options = source.options(None if model is None else spec_of(model))
    is_text = target.format_name in ("csv", "tsv")
    return replace(options, beside="all") if is_text or options.has_words else options


def known_columns(pieces: TableDataset, imputer: Any, source: Source) -> TableDataset:
    """Return the columns of a dataset that an imputer knows, and those to carry along."""
    from latently.io import text_name

    names = list(names_of_fit(imputer) or ())
    aside = {*map(text_name, names), *id_names(pieces.column_names, source)}
    wanted = {*names, *aside, *(source.ids or ())}
    return pieces.select([name for name in pieces.column_names if name in wanted])


def as_it_was(filled: pa.Table, marked: pa.Table, piece: pa.Table, imputer: Any) -> pa.Table:
    """Return a filled table in which all other cells are those of the piece.

    Parameters
    ----------
    filled : pyarrow.Table
        Without gaps, but for columns that are not filled.
    marked : pyarrow.Table
        The same rows with gaps.
    piece : pyarrow.Table
        The rows as they were read, with their texts.
    imputer : AutoencoderImputer
        Which knows how columns are written.

    Returns
    -------
    pyarrow.Table
        Texts where the piece has some.
    """
    from latently.io import text_name
    from latently.io.text._options import verbatim_field
    from latently.io.text._writing import in_notation

    for place, name in enumerate(filled.column_names):
        base = _base_of(name, marked.column_names)
        if base is None or text_name(base) not in piece.column_names:
            continue
        notation = _notation_of(base, marked, imputer)
        field, given = piece.schema.field(text_name(base)), piece[text_name(base)]
        if name == base:
            field, column = _restored(filled[name], marked[name], field, given, notation)
        elif field.metadata:  # the end of an interval, in text
            field = verbatim_field(name)
            column = in_notation(filled[name], notation).cast(field.type)
        else:
            continue
        filled = filled.set_column(place, field.with_name(name), column)
    return filled


def _base_of(name: str, columns: list[str]) -> str | None:
    """Return the column that an answer is about, be it the end of an interval."""
    bases = (name, name.removesuffix("_low"), name.removesuffix("_high"))
    return next((base for base in bases if base in columns), None)


def _notation_of(name: str, marked: pa.Table, imputer: Any) -> Any:
    """Return how a column is written: as in the file, else as in fit."""
    from latently.schema import Notation

    own = Notation.from_metadata(marked.schema.field(name).metadata)
    spec = spec_of(imputer)
    kinds = {} if spec is None else dict(zip(spec.names or (), spec.types, strict=True))
    fitted = kinds[name].notation if name in kinds else None
    return own or fitted or Notation()


def _restored(
    filled: pa.ChunkedArray,
    marked: pa.ChunkedArray,
    field: pa.Field,
    given: pa.ChunkedArray,
    notation: Any,
) -> tuple[pa.Field, pa.ChunkedArray]:
    import pyarrow as pa
    import pyarrow.compute as pc

    from latently.io.text._options import verbatim_field
    from latently.io.text._writing import in_notation

    is_filled = pc.and_(marked.is_null(nan_is_null=True), filled.is_valid())
    if not field.metadata:  # of a file whose cells have types
        return field, pc.if_else(is_filled, filled, given.cast(filled.type))
    cells = pc.if_else(is_filled, in_notation(filled, notation).cast(pa.string()), given)
    is_text = pa.types.is_string(marked.type) or pa.types.is_large_string(marked.type)
    has_gaps = not is_text or bool(filled.null_count)
    return verbatim_field(field.name, has_gaps=has_gaps), cells
