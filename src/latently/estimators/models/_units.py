"""Own units of the columns of a table, in which relations of columns are written."""

from __future__ import annotations

import numpy as np
import torch

from latently.nn import Units
from latently.nn.masked._relations import CLOCK, INSTANT, NO_GROUP, NUMBER, SPAN
from latently.preprocessing import TablePreprocessor

#: Groups by the beginning of the name of an Arrow type. "timestamp" is compared before "time".
_GROUPS = {"timestamp": INSTANT, "date": INSTANT, "time": CLOCK, "duration": SPAN}


def units_of(preprocessor: TablePreprocessor) -> Units:
    """Return scale, zero and group of each column, in encoded order.

    Parameters
    ----------
    preprocessor : TablePreprocessor
        Fitted preprocessor.

    Returns
    -------
    Units
        Numbers are in the user's units, times in seconds. Instants are counted from the origin of
        the first of them, so that their differences keep their digits.
    """
    n_columns, n_numbers = preprocessor.layout.n_columns, len(preprocessor.scale)
    scale, zero, group = np.ones(n_columns), np.zeros(n_columns), np.full(n_columns, NO_GROUP)
    if preprocessor.number_likelihood == "gaussian":
        scale[:n_numbers], group[:n_numbers] = preprocessor.scale, NUMBER
        zero[:n_numbers] = np.nan_to_num(preprocessor.center)
    first: int | None = None
    for place, codec in enumerate(preprocessor.codecs, n_numbers):
        if codec.likelihood != "gaussian":
            continue
        name = preprocessor.spec.types[codec.position].name
        kind = next(group for start, group in _GROUPS.items() if name.startswith(start))
        origin = codec.origin * codec.nanoseconds
        if kind == INSTANT:
            first = origin if first is None else first
            origin -= first
        scale[place], group[place] = codec.scale, kind
        zero[place] = codec.center + origin / 1e9
    return Units(*(torch.from_numpy(part) for part in (scale, zero, group)))
