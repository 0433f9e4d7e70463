"""An exported file gives the results of its model, from the columns in the user's units."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest

from latently import (
    AnomalyDetector,
    Autoencoder,
    AutoencoderDenoiser,
    AutoencoderImputer,
    DenoisingAutoencoder,
    DenseNetwork,
    EnsembleAutoencoder,
    MapAutoencoder,
    NeighborAutoencoder,
    SparseAutoencoder,
    VariationalAutoencoder,
    check_onnx,
    export_onnx,
)
from latently.exceptions import ModelFileError, OutputExistsError, ParameterError
from latently.export._rows import inputs_of

from .data import mixed_table, new_table

pytestmark = pytest.mark.filterwarnings("ignore::latently.exceptions.LatentlyWarning")
QUICK = {"max_epochs": 3, "random_state": 0}


def run(path, inputs, names=None):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options)
    names = names or [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def inputs(model, rows):
    return inputs_of(getattr(model, "autoencoder_", model).preprocessor_, rows)


def scores(path, model, rows):
    return run(path, inputs(model, rows))["score"]


def relative(found, wanted):
    return float((np.abs(found - wanted) / np.maximum(1, np.abs(wanted))).max())


def test_default_detector_of_mixed_rows_scores_as_its_model(detector, file):
    rows = new_table()

    found = run(file, inputs(detector, rows))

    wanted = detector.anomaly_score(rows)
    assert relative(found["score"], wanted) < 1e-4
    assert np.array_equal(found["flag"], wanted > detector.threshold_.cut)
    assert np.abs(found["p_value"] - detector.p_values(rows)).max() < 0.01


def test_scores_of_rows_do_not_depend_on_their_number(detector, file):
    given = inputs(detector, new_table(40))

    whole = run(file, given)["score"]
    alone = [run(file, {k: v[[i]] for k, v in given.items()})["score"][0] for i in range(10)]

    assert np.allclose(alone, whole[:10], rtol=0, atol=1e-5)
    assert run(file, {k: v[:0] for k, v in given.items()})["score"].shape == (0,)


def test_stored_rows_are_scored_without_themselves(of_numbers, numbers, tmp_path):
    twice = np.vstack([numbers[:400], numbers[:5]])
    repeated = NeighborAutoencoder(random_state=0).fit(twice)
    detector = AnomalyDetector(autoencoder=repeated).fit(numbers)
    path = tmp_path / "detector.onnx"
    export_onnx(detector, path)

    for model, rows in ((of_numbers, numbers), (detector, twice)):
        export_onnx(model, path, overwrite=True)
        assert relative(run(path, {"X": rows})["score"], model.anomaly_score(rows)) < 1e-4


def test_gaps_and_extreme_numbers_score_as_in_the_model(of_numbers, numbers, tmp_path):
    rows = numbers[400:].copy()
    rows[::7, 2] = np.nan
    rows[0] = np.nan
    rows[1] = 1e300
    rows[2, 0] = -1e12
    export_onnx(of_numbers, tmp_path / "a.onnx")

    found = run(tmp_path / "a.onnx", {"X": rows})

    assert relative(found["score"], of_numbers.anomaly_score(rows)) < 1e-4
    assert found["score"][0] == 0
    assert found["flag"][1]


@pytest.mark.parametrize("gaps", [False, True])
def test_robust_detector_scores_as_its_model(gaps, tmp_path):
    table, rows = mixed_table(200, 0), new_table()
    if not gaps:
        table, rows = table.dropna(), mixed_table(100, 3)
    detector = AnomalyDetector(robust=True, random_state=0).fit(table)
    export_onnx(detector, tmp_path / "a.onnx")

    found = run(tmp_path / "a.onnx", inputs(detector, rows))

    wanted = detector.anomaly_score(rows)
    assert relative(found["score"], wanted) < 1e-4
    assert np.array_equal(found["flag"], wanted > detector.threshold_.cut)


@pytest.mark.parametrize("share_missing", [0.0, 0.1])
def test_detector_of_a_single_column_scores_as_its_model(share_missing, tmp_path):
    rng = np.random.default_rng(0)
    column = rng.lognormal(size=(400, 1)).round(2)
    column[rng.random(400) < share_missing] = np.nan
    detector = AnomalyDetector(random_state=0).fit(column[:300])
    rows = np.vstack([column, [[1e6], [-50.0], [np.nan]]])
    export_onnx(detector, tmp_path / "a.onnx")

    found = run(tmp_path / "a.onnx", {"X": rows})["score"]

    assert relative(found, detector.anomaly_score(rows)) < 1e-4


def test_infinite_numbers_are_flagged(of_numbers, numbers, tmp_path):
    export_onnx(of_numbers, tmp_path / "a.onnx")

    found = run(tmp_path / "a.onnx", {"X": np.full((1, 5), np.inf)})

    assert np.isfinite(found["score"]).all()
    assert found["flag"].all()


def test_threshold_is_an_optional_input(detector, file):
    given = inputs(detector, new_table())
    score = run(file, given)["score"]

    cut = float(np.median(score))
    flags = run(file, given | {"threshold": np.array(cut)})["flag"]

    assert np.array_equal(flags, score > cut)
    assert run(file, given)["flag"].sum() < flags.sum()


@pytest.mark.parametrize(
    "autoencoder",
    [
        Autoencoder(2, network=DenseNetwork((8,), "silu", "batch", linear_path=True), **QUICK),
        Autoencoder(2, network=DenseNetwork((8,), "elu", "layer"), ordered=True, **QUICK),
        DenoisingAutoencoder(2, **QUICK),
        VariationalAutoencoder(2, **QUICK),
        SparseAutoencoder(6, **QUICK),
        SparseAutoencoder(6, sparsity="jumprelu", **QUICK),
        SparseAutoencoder(6, sparsity="kl", **QUICK),
        EnsembleAutoencoder(Autoencoder(2, max_epochs=2), n_estimators=2, random_state=0),
        NeighborAutoencoder(n_components=50, random_state=0),
        MapAutoencoder(2, **QUICK),
    ],
    ids=lambda model: type(model).__name__,
)
def test_autoencoder_gives_codes_errors_and_rows_in_their_units(autoencoder, tmp_path):
    model, rows = autoencoder.fit(mixed_table(120, 0)), new_table(60)

    check = export_onnx(model, tmp_path / "a.onnx")

    found = run(tmp_path / "a.onnx", inputs(model, rows))
    assert check.largest_difference < 1e-4
    assert np.allclose(found["code"], model.transform(rows), rtol=1e-4, atol=1e-5)
    error = model.reconstruction_error(rows)
    assert relative(found["reconstruction_error"], error) < 1e-4
    rebuilt = inputs(model, model.reconstruct(rows))
    assert (found["reconstruction.colour"] == rebuilt["colour"]).mean() > 0.98
    assert (found["reconstruction.grade"] == rebuilt["grade"]).mean() > 0.98
    assert np.allclose(found["reconstruction.amount"], rebuilt["amount"], atol=0.011)
    assert np.allclose(found["reconstruction.count"], rebuilt["count"])
    assert np.abs(found["reconstruction.when"] - rebuilt["when"]).max() <= 10_000_000  # ten seconds


@pytest.mark.parametrize("scoring", ["energy", "reconstruction"])
def test_detector_with_a_network_scores_as_its_model(autoencoder, scoring, tmp_path):
    detector = AnomalyDetector(autoencoder=autoencoder, scoring=scoring).fit(mixed_table(200, 2))
    rows = new_table()
    export_onnx(detector, tmp_path / "a.onnx")

    found = run(tmp_path / "a.onnx", inputs(detector, rows))

    wanted = detector.anomaly_score(rows)
    assert relative(found["score"], wanted) < 1e-5
    assert np.array_equal(found["flag"], wanted > detector.threshold_.cut)


def test_denoiser_returns_its_rows(numbers, tmp_path):
    model = DenoisingAutoencoder(2, **QUICK).fit(numbers)
    denoiser = AutoencoderDenoiser(autoencoder=model).fit(numbers)
    check = export_onnx(denoiser, tmp_path / "a.onnx", outputs=["reconstruction"])

    found = run(tmp_path / "a.onnx", {"X": numbers})

    assert check.n_rows == 0
    assert list(found) == ["reconstruction"]
    assert np.allclose(found["reconstruction"], denoiser.transform(numbers), atol=1e-5)


def test_outputs_of_a_detector_of_stored_rows_are_chosen(of_numbers, numbers, tmp_path):
    export_onnx(of_numbers, tmp_path / "a.onnx", outputs=["code", "reconstruction"])

    found = run(tmp_path / "a.onnx", {"X": numbers})

    model = of_numbers.autoencoder_
    assert np.allclose(found["code"], model.transform(numbers), atol=1e-4)
    assert np.allclose(found["reconstruction"], model.reconstruct(numbers), atol=1e-4)


def test_columns_with_reserved_names_are_renamed(numbers, tmp_path):
    frame = pd.DataFrame(numbers[:100], columns=["score", "threshold", "/1", "a", "b"])
    detector = AnomalyDetector(random_state=0).fit(frame)
    export_onnx(detector, tmp_path / "a.onnx")

    found = scores(tmp_path / "a.onnx", detector, frame)

    assert {"column.score", "column.threshold", "column./1"} <= set(inputs(detector, frame))
    assert relative(found, detector.anomaly_score(frame)) < 1e-4


def test_file_is_valid_and_describes_its_columns(file, detector):
    model = onnx.load(file)

    onnx.checker.check_model(model, full_check=True)
    notes = {entry.key: entry.value for entry in model.metadata_props}
    columns = {column["name"]: column for column in json.loads(notes["columns"])}
    assert columns["when"]["unit"] in ("ns", "us")
    assert columns["colour"] == {
        "name": "colour", "input": "colour", "kind": "category", "type": "string", "missing": "",
        "unit": None,
    }  # fmt: skip
    assert json.loads(notes["threshold"])["cut"] == detector.threshold_.cut


def test_file_is_scored_without_torch_and_latently(file, detector, tmp_path):
    given = {k: v for k, v in inputs(detector, new_table(20)).items() if v.dtype != object}
    np.savez(tmp_path / "rows.npz", **given)
    program = (
        "import sys, numpy as np, onnxruntime as ort\n"
        "rows = dict(np.load(sys.argv[2]))\n"
        "rows |= {name: np.full(20, 'red', object) for name in ('colour', 'grade')}\n"
        "score = ort.InferenceSession(sys.argv[1]).run(['score'], rows)[0]\n"
        "print(len(score), 'torch' in sys.modules, 'latently' in sys.modules)\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program, file, tmp_path / "rows.npz"],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip

    assert done.stdout.split() == ["20", "False", "False"]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda X: AutoencoderImputer(effort="fast", random_state=0).fit(X), "AutoencoderImputer"),
        (lambda X: Autoencoder(2, refinement_steps=3, **QUICK).fit(X), "refinement_steps"),
        (lambda X: "model", "a str"),
    ],
)
def test_what_cannot_be_exported_is_refused_in_one_sentence(make, words, numbers, tmp_path):
    model = make(numbers[:60])

    with pytest.raises(ParameterError, match=words):
        export_onnx(model, tmp_path / "a.onnx")
    assert not (tmp_path / "a.onnx").exists()


def test_a_score_learnt_from_labels_is_refused(numbers, tmp_path):
    labels = np.arange(200) < 20
    rows = numbers[:200] + 9 * labels[:, None]
    detector = AnomalyDetector(random_state=0).fit(rows, labels)

    with pytest.raises(ParameterError, match="learnt from labels"):
        export_onnx(detector, tmp_path / "a.onnx")


def test_unknown_outputs_are_refused(of_numbers, tmp_path):
    with pytest.raises(ParameterError, match="outputs must be some of score"):
        export_onnx(of_numbers, tmp_path / "a.onnx", outputs=["p_value"])


def test_an_existing_file_is_kept(of_numbers, tmp_path):
    (tmp_path / "a.onnx").write_text("mine")

    with pytest.raises(OutputExistsError):
        export_onnx(of_numbers, tmp_path / "a.onnx")
    assert (tmp_path / "a.onnx").read_text() == "mine"


def test_check_compares_a_file_with_a_model(file, detector):
    assert check_onnx(file).n_flags_differ == 0
    assert check_onnx(file, detector).largest_difference < 1e-4


def test_check_refuses_a_file_of_another_model(file, detector):
    other = AnomalyDetector(random_state=1).fit(mixed_table(200, 5))

    with pytest.raises(ModelFileError, match="must give the results of its model"):
        check_onnx(file, other)


@pytest.mark.parametrize("damage", ["cut", "text", "foreign", "absent"])
def test_check_refuses_a_damaged_file(file, tmp_path, damage):
    path: Path = tmp_path / "a.onnx"
    data = file.read_bytes()
    if damage == "foreign":
        model = onnx.load(file)
        del model.metadata_props[:]
        data = model.SerializeToString()
    if damage != "absent":
        path.write_bytes({"cut": data[:-2_000], "text": b"no graph"}.get(damage, data))

    with pytest.raises(ModelFileError):
        check_onnx(path)
