"""Changes of model files that keep most of their form: types, lengths, orders and owners."""

import copy

import numpy as np

from tests.trust.test_model_files import places

#: Numbers at the ends of what a float can hold, and those that code tends to forget.
FLOATS = [-0.0, 0.0, 1.0, 1e-320, 1e-30, 1e30, 1e300, 1e308]
DTYPES = [np.float64, np.float32, np.float16, np.int64, np.int32, np.uint8, np.bool_]


def near_mutant(config, arrays, rng):
    """Return the configuration and the arrays of a file with one change."""
    kind = rng.random()
    if kind < 0.5:
        return near_config(config, rng), arrays
    return config, near_array(arrays, rng) if kind < 0.95 else shorter_together(arrays, rng)


def near_entry(value, others, rng):
    """Return an entry of a configuration with a change that suits its type."""
    if isinstance(value, bool):
        return [int(value), not value, float(value)][rng.integers(3)]
    if isinstance(value, int):
        return [float(value), value + 1, value - 1, 2 * value, -value][rng.integers(5)]
    if isinstance(value, float):
        nearby = [int(value), 2 * value, -value, value / 2, value + 1, *FLOATS]
        return nearby[rng.integers(len(nearby))]
    if isinstance(value, str):
        texts = [one for one in others if isinstance(one, str)]
        other = texts[rng.integers(len(texts))]
        return [other, value * 1000, value + "\u0301", f" {value}", ""][rng.integers(5)]
    if isinstance(value, list) and value:
        order = rng.permutation(len(value))
        return [
            [value[i] for i in order], value[::-1], [*value, value[0]], value[:1] * len(value),
            value[:-1], [value], [],
        ][rng.integers(7)]  # fmt: skip
    alike = [one for one in others if type(one) is type(value)]
    return alike[rng.integers(len(alike))]


def near_config(config, rng):
    """Return a configuration with one entry changed, or replaced by another of its type."""
    config = copy.deepcopy(config)
    paths = [path for path in places(config) if path]
    others = [_at(config, path) for path in paths]
    i, j = rng.integers(len(paths), size=2)
    is_moved = rng.random() < 0.3 and type(others[i]) is type(others[j])
    *path, last = paths[i]
    value = others[j] if is_moved else near_entry(others[i], others, rng)
    _at(config, path)[last] = copy.deepcopy(value)
    return config


def near_array(arrays, rng):
    """Return arrays of which one has another order, size, type or owner."""
    names = sorted(arrays)
    name = names[rng.integers(len(names))]
    return {**arrays, name: _near_values(arrays[name], list(arrays.values()), rng)}


def shorter_together(arrays, rng):
    """Return arrays of which all that have one length lost their last row."""
    lengths = sorted({len(values) for values in arrays.values() if values.ndim and len(values)})
    length = lengths[rng.integers(len(lengths))]
    return {
        name: values[:-1] if values.ndim and len(values) == length else values
        for name, values in arrays.items()
    }


def graft(mine, other, rng):
    """Return a file of which one object is replaced by an object of another file.

    The object has the name or the class of the one that it replaces, if there is such a one.
    """
    (config, arrays), (other_config, other_arrays) = copy.deepcopy(mine), other
    own = [path for path in _objects(config) if path]
    *path, last = own[rng.integers(len(own))]
    replaced, every = _at(config, path)[last], [path for path in _objects(other_config) if path]
    alike = [place for place in every if place[-1] == last] if rng.random() < 0.5 else [
        place for place in every if _at(other_config, place)["~class"] == replaced["~class"]
    ]  # fmt: skip
    places_of_graft = alike or every
    place = places_of_graft[rng.integers(len(places_of_graft))]
    graft = copy.deepcopy(_at(other_config, place))
    for entry in _array_entries(graft):
        arrays[f"graft.{entry['~array']}"] = other_arrays[entry["~array"]]
        entry["~array"] = f"graft.{entry['~array']}"
    _at(config, path)[last] = graft
    used = {entry["~array"] for entry in _array_entries(config)}
    return config, {name: values for name, values in arrays.items() if name in used}


def _objects(config):
    found = ((path, _at(config, path)) for path in places(config))
    return [path for path, value in found if isinstance(value, dict) and "~class" in value]


def _array_entries(config):
    found = (_at(config, path) for path in places(config))
    return [value for value in found if isinstance(value, dict) and "~array" in value]


def _near_values(values, others, rng):
    flat, kind = values.reshape(-1), rng.integers(10)
    if kind == 0:
        with np.errstate(all="ignore"):
            return values.astype(DTYPES[rng.integers(len(DTYPES))])
    if kind == 1:
        alike = [one for one in others if one.dtype == values.dtype and one.size == values.size]
        return alike[rng.integers(len(alike))].reshape(values.shape)
    if kind == 2:
        return values[::-1] if values.ndim else values[None]
    if kind == 3:
        return np.concatenate([values, values[:1]]) if values.ndim else values[None]
    if kind == 4:
        return values[:0] if values.ndim else np.zeros(0, values.dtype)
    if kind == 5:
        return [values.T, values[None], values[..., None], flat][rng.integers(4)]
    if not values.size or values.dtype.kind == "b":
        return ~values if values.dtype.kind == "b" else values[None]
    changed, where = values.copy(), rng.integers(values.size)
    where = slice(None) if kind == 6 else where
    with np.errstate(all="ignore"):
        if values.dtype.kind == "f":
            put = [*FLOATS, flat[where] * 2, -flat[where], flat[where] + 1]
        else:
            put = [flat[where] + 1, flat[where] - 1, flat[where] * 2, 0 * flat[where] + 100]
        changed.reshape(-1)[where] = np.asarray(put[rng.integers(len(put))]).astype(values.dtype)
    return changed


def _at(config, path):
    for key in path:
        config = config[key]
    return config
