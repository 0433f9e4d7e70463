"""``latently export`` writes a file, compares it and refuses what it cannot export."""

from pathlib import Path

from .conftest import Run


def test_export_writes_a_file_and_check_compares_it(run: Run, folder: Path, tmp_path: Path):
    model, file = folder / "model.safetensors", tmp_path / "model.onnx"

    written = run("export", model, "-o", file)
    checked = run("export", model, "-o", file, "--check")

    assert written.exit_code == checked.exit_code == 0
    assert "largest difference" in written.stderr
    assert checked.stderr.startswith(f"{file}: ")


def test_export_keeps_an_existing_file(run: Run, folder: Path, tmp_path: Path):
    file = tmp_path / "model.onnx"
    file.write_text("mine")

    refused = run("export", folder / "model.safetensors", "-o", file)
    written = run("export", folder / "model.safetensors", "-o", file, "--overwrite")

    assert (refused.exit_code, written.exit_code) == (2, 0)


def test_options_without_effect_are_refused(run: Run, folder: Path, tmp_path: Path):
    asked = run(
        "export", folder / "model.safetensors", "-o", tmp_path / "a.onnx", "--check", "--overwrite"
    )

    assert asked.exit_code == 2
    assert "--check must be given without" in asked.stderr
