"""Soundly signed files with changed contents are refused at load, or answer everything.

Each loaded mutant is asked every public method on a small table. An exception that is not
latently's, an answer that is not finite, a question without an end, or more memory than two GiB is
a failure.
"""

import copy
import warnings

import numpy as np
import pytest
from sklearn.base import clone

from latently import (
    AnomalyDetector,
    Autoencoder,
    AutoencoderDenoiser,
    AutoencoderImputer,
    ConvolutionalAutoencoder,
    DenseNetwork,
    EnsembleAutoencoder,
    FeatureExtractor,
    ImputationAutoencoder,
    LatentSampler,
    MapAutoencoder,
    NeighborAutoencoder,
    SparseAutoencoder,
    TableSampler,
    UNetAutoencoder,
    VariationalAutoencoder,
    load,
)
from latently.exceptions import LatentlyError, ModelFileError
from latently.io._model_file import read_model, write_model
from tests.contract.samples import matrix, stack, transactions
from tests.trust.asking import ask_everything, bounded, is_finite
from tests.trust.near_mutants import graft, near_mutant
from tests.trust.test_model_files import TYPES, WORDS, array, at, cell, places, record

pytestmark = pytest.mark.trust("forged models")

QUICK = {"max_epochs": 1, "random_state": 0, "engine": "cpu"}
SMALL = DenseNetwork((8,))
PLAIN = Autoencoder(2, network=SMALL, **QUICK)
VAE = VariationalAutoencoder(2, network=SMALL, **QUICK)
MASKED = ImputationAutoencoder(8, n_networks=1, n_trees=4, **QUICK)
TABLES = transactions("pyarrow", 120)
TABLE, NUMBERS, IMAGES = transactions("pyarrow", 40), matrix(40), stack(20, 8, 8)
KINDS = {
    "plain": (PLAIN, TABLE),
    "ordered": (Autoencoder(ordered=True, network=SMALL, **QUICK), NUMBERS),
    "convolutional": (ConvolutionalAutoencoder(2, **QUICK), IMAGES),
    "variational": (VAE, TABLE),
    "sparse": (SparseAutoencoder(8, n_active=2, **QUICK), NUMBERS),
    "map": (MapAutoencoder(2, **QUICK), NUMBERS),
    "unet": (UNetAutoencoder(channels=(4, 8), **QUICK), IMAGES),
    "memory": (NeighborAutoencoder(random_state=0), TABLE),
    "robust": (NeighborAutoencoder(robust=True, random_state=0), TABLE),
    "masked": (MASKED, TABLE),
    "ensemble": (EnsembleAutoencoder(PLAIN, n_estimators=2, random_state=0), NUMBERS),
    "detector": (AnomalyDetector(random_state=0), TABLE),
    "network": (AnomalyDetector(autoencoder=PLAIN, random_state=0), TABLE),
    "imputer": (AutoencoderImputer(autoencoder=MASKED), TABLE),
    "denoiser": (AutoencoderDenoiser(autoencoder=VAE, random_state=0), NUMBERS),
    "sampler": (LatentSampler(autoencoder=VAE, random_state=0), NUMBERS),
    "table sampler": (TableSampler(n_trees=2, random_state=0), TABLES),
    "features": (FeatureExtractor(autoencoder=VAE, layers="all", random_state=0), TABLE),
}
EXTREME = [0.0, -1.0, 1e-320, -1e-320, 1e-38, 1e38, 1e300, -1e300, 1e19]
NUMBERS_SAID = [*EXTREME, 2, 5, 1000, 10**6, 10**9]
WHOLE = [-1, -2, 10**6, 2**31 - 1, 0, 1]


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """Returns the file of a kind of model, its rows, and which of its answers are finite."""
    root, known = tmp_path_factory.mktemp("sound"), {}

    def of(kind):
        if kind not in known:
            model, rows = KINDS[kind]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                clone(model).fit(rows).save(root / kind)
            answers = ask_everything(load(root / kind), rows[:12], root)
            finite = [
                name
                for name, answer in answers.items()
                if not isinstance(answer, LatentlyError) and is_finite(answer)
            ]
            known[kind] = root / kind, rows[:12], finite
        return known[kind]

    return of


def said_mutant(config, rng):
    """Return a configuration with one entry left out, doubled or replaced."""
    config = copy.deepcopy(config)
    every = [path for path in places(config) if path]
    *path, last = every[rng.integers(len(every))]
    inner = config
    for key in path:
        inner = inner[key]
    kind = rng.integers(5)
    if kind == 0:
        del inner[last]
    elif kind == 1 and isinstance(inner, list):
        inner.append(inner[last])
    elif kind == 2 and type(inner[last]) in (int, float):
        inner[last] = NUMBERS_SAID[rng.integers(len(NUMBERS_SAID))]
    else:
        inner[last] = WORDS[rng.integers(len(WORDS))]
    return config


def array_mutant(values, rng):
    """Return an array with another type, size, order or cell."""
    kind = rng.integers(6)
    if kind == 0 or not values.size:
        return values.astype(TYPES[rng.integers(len(TYPES))])
    if kind == 1:
        return values.reshape(-1)[:-1]
    if kind == 2:
        return values.reshape(-1)[rng.permutation(values.size)].reshape(values.shape)
    if values.dtype.kind == "b":
        return ~values
    choice = [*EXTREME, np.nan, np.inf] if values.dtype.kind == "f" else WHOLE
    put, changed = choice[rng.integers(len(choice))], values.copy()
    where = slice(None) if kind == 3 else rng.integers(values.size)
    with np.errstate(over="ignore"):
        changed.reshape(-1)[where] = np.array(put).astype(values.dtype)
    return changed


def judged(path, rows, finite, folder):
    """Return what became of a file: refused at load, declined by a sentence, or answered."""
    with bounded(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            model = load(path)
        except ModelFileError as error:
            assert len(str(error)) <= 300
            return "refused"
    answers = ask_everything(model, rows, folder)
    words = {n: answers[n] for n in finite if isinstance(answers.get(n), LatentlyError)}
    endless = [n for n in finite if n not in words and n in answers and not is_finite(answers[n])]
    assert not endless, f"{endless[0]} is not finite"
    return "declined" if words else "answered"


def far_mutant(config, arrays, rng):
    """Return the configuration and the arrays of a file with one change of any kind."""
    if rng.random() < 0.6:
        return said_mutant(config, rng), arrays
    name = sorted(arrays)[rng.integers(len(arrays))]
    return config, {**arrays, name: array_mutant(arrays[name], rng)}


CHANGES = {"far": far_mutant, "near": near_mutant}


def mutants(kind, n, change, seed, sound, folder, outcome):
    path, rows, finite = sound(kind)
    rng = np.random.default_rng(seed)
    config, arrays = read_model(path)
    for _ in range(n):
        try:
            write_model(folder / "mutant", *CHANGES[change](config, arrays, rng))
        except ModelFileError:
            continue
        outcome(judged(folder / "mutant", rows, finite, folder))


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_mutant_is_refused_or_answers_everything(kind, change, sound, tmp_path, outcome):
    mutants(kind, 15, change, 0, sound, tmp_path, outcome)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 3))
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("kind", KINDS)
def test_more_mutants_are_refused_or_answer_everything(
    kind, change, seed, sound, tmp_path, outcome
):
    mutants(kind, 1_000, change, seed, sound, tmp_path, outcome)


def grafts(n, seed, sound, folder, outcome):
    rng, kinds = np.random.default_rng(seed), list(KINDS)
    for _ in range(n):
        mine, other = rng.choice(kinds, 2)
        path, rows, finite = sound(mine)
        parts = graft(read_model(path), read_model(sound(other)[0]), rng)
        write_model(folder / "mutant", *parts)
        outcome(judged(folder / "mutant", rows, finite, folder))


def test_a_model_with_a_part_of_another_is_refused_or_answers_everything(sound, tmp_path, outcome):
    grafts(60, 0, sound, tmp_path, outcome)


@pytest.mark.slow
def test_more_models_with_parts_of_others_are_refused_or_answer(sound, tmp_path, outcome):
    grafts(2_000, 1, sound, tmp_path, outcome)


def typed(name, other):
    """Return a change of the type of the first column of a type."""

    def change(config, arrays):
        types = config["fitted"]["preprocessor_"]["params"]["spec"]["params"]["types"]["~tuple"]
        next(one["params"] for one in types if one["params"]["name"] == name)["name"] = other

    return change


FITTED, ENDS = ("fitted",), ("low", "high")
TABLE_FILE = ("fitted", "preprocessor_", "params")
FORGED = {
    "a score of another kind": ("detector", at(*FITTED, "score_", to=record("ElboScore"))),
    "a score that is none": ("detector", at(*FITTED, "score_", to=record("DenseNetwork"))),
    "a rule that is none": ("detector", at(*FITTED, "rule_", to=record("Masking"))),
    "a rule out of range": ("detector", at(*FITTED, "rule_", "params", "rate", to=2.0)),
    "an offset beside its threshold": ("detector", at(*FITTED, "offset_", to=-0.5)),
    "a threshold without end": (
        "detector", at(*FITTED, "threshold_", "params", "cut", to={"~float": "inf"})
    ),
    "no repairs of a table": ("detector", at(*FITTED, "repairs_", to=None)),
    "repairs that are not finite": ("detector", array("repairs_.mean", cell(np.inf))),
    "repairs of another size": ("detector", array("repairs_.usual", lambda v: v[:-1])),
    "repairs of whole numbers": ("detector", array("repairs_.bends", lambda v: v.astype(int))),
    "turns of another table": ("detector", array("repairs_.turns", lambda v: v[:, :-1])),
    "a calibration that descends": ("detector", array("calibration_.scores", lambda v: v[::-1])),
    "a precision below zero": ("network", array("score_.precision", lambda v: -v)),
    "names that are lists": ("detector", at(*FITTED, "feature_names_in_", "~names", 0, to=[[]])),
    "names of other columns": (
        "detector", at(*FITTED, "feature_names_in_", "~names", 0, to="else")
    ),
    "columns counted by a tuple": ("denoiser", at(*FITTED, "n_features_in_", to={"~tuple": []})),
    "columns counted otherwise": ("ordered", at(*FITTED, "n_features_in_", to=3)),
    "a place that does not exist": ("memory", array(".places", cell(10**6))),
    "gaps that differ": ("memory", array("memories.0.seen", lambda v: ~v)),
    "a bandwidth of nothing": ("memory", array("memories.0.unit", lambda v: v * 0 + 1e-38)),
    "a spread of nothing": ("memory", array(".spread", cell(0.0))),
    "more values than rows": ("memory", array("views.2.count", cell(-1.0))),
    "a member that is not stored": ("robust", array("small.members", cell(10**6))),
    "a column without bins": ("robust", array("histograms.n_bins", lambda v: v * 0)),
    "a split on no column": ("robust", array("trees.feature", lambda v: v * 0 - 1)),
    "a feature that does not exist": ("masked", array("forest.feature", cell(999))),
    "a variance below zero": ("masked", array("gaussian.noise", cell(-1.0))),
    "a batch variance below zero": ("convolutional", array("running_var", cell(-1.0))),
    "a scale of 1e-320": ("plain", array("preprocessor_.scale", cell(1e-320))),
    "a weight of 1e38": ("plain", array("encoder.1.weight", cell(1e38))),
    "a unit of nothing": ("map", array("latent.unit", lambda v: v * 0)),
    "a dictionary of no length": ("sparse", array("encoder.scale", lambda v: v * 0)),
    "steps without end": ("plain", at("params", "refinement_steps", to=2**62)),
    "passes without end": ("imputer", at("params", "n_iterations", to=10**9)),
    "images as large as the sky": ("unet", at("params", "enlarge", to=10**6)),
    "a batch of 2^63 rows": ("plain", at("params", "batch_size", to=2**63)),
    "a fill report of fewer columns": (
        "imputer", lambda c, a: c["fitted"]["fill_report_"]["params"]["units"]["~tuple"].pop()
    ),
    "shares beyond one": ("imputer", array("fill_report_.share_missing", cell(2.0))),
    "a column that does not exist": (
        "imputer", lambda c, a: a.update({"unfilled_": np.array([999])})
    ),
    "steps that are texts": ("plain", at(*FITTED, "history_", "~dict", "step", 0, to="x")),
    "an end that is none": ("plain", at(*FITTED, "history_", "~dict", "stopped", to="x")),
    "baselines that are none": ("plain", at(*FITTED, "baselines_", to=record("Masking"))),
    "a curve of another code": (
        "ordered", at(*FITTED, "components_curve_", "params", "n_components", to=99)
    ),
    "no center of a column with values": ("ordered", array("preprocessor_.center", cell(np.nan))),
    "a shape without a mode": ("sampler", array("shapes_", lambda v: v * 0)),
    "cells that are codes of no category": ("table sampler", array("cells_", lambda v: v + 0.5)),
    "cells without end": ("table sampler", array("cells_", lambda v: v * 0 + np.inf)),
    "an order with a column twice": ("table sampler", array("order_", lambda v: v * 0)),
    "a child of another tree": ("table sampler", array("trees.children", cell(10**6))),
    "a feature beyond the inputs": ("table sampler", array("trees.features", cell(10**6))),
    "log odds that are not finite": ("table sampler", array("refiners_.0.values", cell(np.nan))),
    "a limit of nothing": (
        "table sampler",
        at(*FITTED, "refiners_", "~tuple", 0, "params", "limit", to=0.0),
    ),
    "a factor of 1e300": ("sampler", array("factors_", cell(1e300))),
    "a center outside the bounds": ("plain", array("preprocessor_.center", lambda v: v + 1e6)),
    "a scale wider than its column": ("plain", array("preprocessor_.scale", lambda v: v * 1e6)),
    "a scale of a trillionth": ("plain", array("preprocessor_.scale", lambda v: v * 1e-15)),
    "texts of the type of numbers": ("plain", typed("string", "int64")),
    "numbers of the type of texts": ("plain", typed("double", "string")),
    "truths of the type of numbers": ("plain", typed("bool", "int64")),
    "a weight that no fit reaches": ("plain", array("decoder.2.bias", lambda v: v + 1e7)),
    "a prior without end": ("ensemble", array("latent.prior_mean", cell(1e38))),
    "factors that are no triangles": ("sampler", array("factors_", lambda v: v * 0 + 0.5)),
    "more components than codes": ("memory", at(*FITTED, "n_components_", to=10**9)),
    "a usual residual of nothing": ("memory", array(".level", lambda v: v * 0 - 1e6)),
    "a member with a wrong parameter": (
        "ensemble", at("params", "autoencoder", "params", "weight_decay", to=-1.0)
    ),
    "a task with a wrong autoencoder": (
        "imputer", at("params", "autoencoder", "params", "hidden_size", to=0)
    ),
    "a mass beside its column": (
        "plain", array("mass_column", lambda v: np.append(v[:-1], 99).astype(v.dtype))
    ),
    "shares that shrink": ("plain", array("support.shares", lambda v: v[::-1].copy())),
    "gaps in whole numbers": (
        "ordered", lambda c, a: (
            at(*TABLE_FILE, "spec", "params", "dtype", to="int64")(c, a),
            array("support.gaps", cell(0.5))(c, a),
        )
    ),
    "no bounds of a column with values": (
        "ordered", lambda c, a: [array(f"support.{end}", cell(np.nan))(c, a) for end in ENDS]
    ),
    "bounds of a column without values": ("ordered", array("support.gaps", cell(1.0))),
    "masses by two numbers": ("plain", array("mass_column", lambda v: v[:, None])),
    "a range of no width": (
        "unet", lambda c, a: at(*TABLE_FILE, "spec", "params", "high", to=1e-320)(c, a)
    ),
    "an error below zero": ("masked", array("weights.error", cell(-1.0))),
    "a zone that does not exist": (
        "plain", lambda c, a: [
            one["params"].update(zone="Nowhere/At_All")
            for one in c["fitted"]["preprocessor_"]["params"]["codecs"]["~tuple"]
            if one["~class"] == "TimeCodec"
        ]
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", FORGED)
def test_a_contradiction_is_refused_at_load(case, sound, tmp_path, outcome):
    kind, change = FORGED[case]
    config, arrays = read_model(sound(kind)[0])
    config = copy.deepcopy(config)
    change(config, arrays)
    write_model(tmp_path / "forged", config, arrays)
    with pytest.raises(ModelFileError):
        load(tmp_path / "forged")
    outcome("refused")
