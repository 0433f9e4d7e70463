"""Text tables of the figures of the demo."""

from __future__ import annotations

from typing import Any

_Row = tuple[str, str, str, str]


def render_demo(figures: dict[str, Any]) -> str:
    """Return the figures of the demo as a table and the list of files.

    Parameters
    ----------
    figures : dict
        Dictionary returned by ``run_demo``.

    Returns
    -------
    str
        Plain text.
    """
    rows = [*_table_rows(figures), *_image_rows(figures["digits"])]
    heads = ("job", "latently", "PCA or simple filling", "unit")
    widths = [max(len(row[i]) for row in (heads, *rows)) for i in range(4)]
    lines = [_line(heads, widths), "  ".join("-" * width for width in widths)]
    lines += [_line(row, widths) for row in rows]
    same = "yes" if figures["transactions"]["loaded_model_is_equal"] else "NO"
    lines += ["", f"loaded model answers bit for bit as the saved one: {same}"]
    lines += [f"files in {figures['folder']}:", *(f"  {name}" for name in figures["files"])]
    return "\n".join([*lines, f"done in {figures['seconds']:.0f} s"])


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    return "  ".join(c.ljust(w) for c, w in zip(cells, widths, strict=True)).rstrip()


def _table_rows(figures: dict[str, Any]) -> list[_Row]:
    made, tumours = figures["transactions"], figures["breast_cancer"]
    anomalies, gaps = made["anomalies"], made["imputation"]
    return [
        _baseline_row("transactions: rebuild", made["baselines"]),
        _row("transactions: find frauds", anomalies, "auroc", "pca_auroc", "AUROC"),
        _row(
            "transactions: find frauds", anomalies, "average_precision", "pca_average_precision",
            "average precision",
        ),
        _row("transactions: fill numbers", gaps, "rmse", "mean_mode_rmse", "RMSE in deviations"),
        _row(
            "transactions: fill categories", gaps, "accuracy", "mean_mode_accuracy", "share right"
        ),
        _baseline_row("tumours: rebuild", tumours["baselines"]),
        _row(
            "tumours: neighbours tell diagnosis", tumours, "neighbour_accuracy",
            "pca_neighbour_accuracy", "share right",
        ),
    ]  # fmt: skip


def _image_rows(digits: dict[str, Any]) -> list[_Row]:
    psnr = digits["denoising"]
    unit = f"PSNR in dB; {psnr['psnr_noisy']:.1f} before"
    return [
        _baseline_row("digits: rebuild", digits["baselines"]),
        ("digits: denoise", f"{psnr['psnr_denoised']:.1f}", f"{psnr['psnr_pca']:.1f}", unit),
    ]


def _row(job: str, figures: dict[str, Any], ours: str, simple: str, unit: str) -> _Row:
    return job, f"{figures[ours]:.3f}", f"{figures[simple]:.3f}", unit


def _baseline_row(job: str, found: dict[str, Any]) -> _Row:
    unit = f"squared error of a cell, {found['n_components']} components; mean {found['mean']:.3g}"
    return job, f"{found['autoencoder']:.3g}", f"{found['pca']:.3g}", unit
