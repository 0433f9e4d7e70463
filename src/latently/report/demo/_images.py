"""Images of the demo: reconstructed, denoised and generated handwritten digits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from latently.estimators import ConvolutionalAutoencoder, VariationalAutoencoder
from latently.nn import ConvNetwork
from latently.report._images import plot_images
from latently.report._reconstructions import plot_reconstructions, plot_stacks
from latently.report.demo._tables import Figures, ShowStep, baselines
from latently.tasks import AutoencoderDenoiser

Stack = NDArray[np.float64]

_N_TRAIN = 1500
_NOISE = 0.3


def show_digits(root: Path, show_step: ShowStep) -> Figures:
    """Rebuild, denoise and generate images.

    Parameters
    ----------
    root : Path
        Output folder.
    show_step : callable
        Called with one line at the start of each step.

    Returns
    -------
    dict
        The figures of each job.
    """
    from sklearn.datasets import load_digits

    images = load_digits().images / 16.0
    train, test = images[:_N_TRAIN], images[_N_TRAIN:]
    show_step(f"digits: rebuilding images of 8 x 8 pixels, {len(train):,} to learn from")
    model = ConvolutionalAutoencoder(16, random_state=0).fit(train)
    plot_reconstructions(model, test).savefig(root / "reconstructions.png")
    show_step("digits: taking noise off images that the model never saw")
    denoising = _denoise(train, test, root)
    show_step("digits: generating new ones")
    generator = VariationalAutoencoder(16, network=ConvNetwork(), random_state=0).fit(train)
    samples = generator.sample(32, random_state=0)
    title = "Digits that nobody wrote: 32 samples of a variational autoencoder"
    plot_images(samples, title=title).savefig(root / "samples.png")
    return {"baselines": baselines(model), "denoising": denoising}


def _denoise(train: Stack, test: Stack, root: Path) -> Figures:
    noise = np.random.default_rng(0).normal(scale=_NOISE, size=test.shape)
    noisy = np.clip(test + noise, 0, 1)
    denoised = AutoencoderDenoiser(random_state=0).fit(train).transform(noisy)
    simple, n_components = _pca_denoised(train, test, noisy)
    figures: Figures = {
        "psnr_noisy": _psnr(noisy, test),
        "psnr_denoised": _psnr(denoised, test),
        "psnr_pca": _psnr(simple, test),
        "pca_components": n_components,
    }
    title = (
        f"Noise taken off: {figures['psnr_noisy']:.1f} dB before, "
        f"{figures['psnr_denoised']:.1f} dB after (best PCA {figures['psnr_pca']:.1f} dB)"
    )
    stacks = {"noisy": noisy[:8], "denoised": denoised[:8], "clean": test[:8]}
    plot_stacks(stacks, None, title).savefig(root / "denoising.png")
    return figures


def _psnr(answer: Stack, truth: Stack) -> float:
    """Return the peak signal-to-noise ratio in decibels, for pixels from 0 to 1."""
    return float(-10 * np.log10(np.square(answer - truth).mean()))


def _pca_denoised(train: Stack, test: Stack, noisy: Stack) -> tuple[Stack, int]:
    """Return the reconstructions and size of the PCA with the highest PSNR on the clean images."""
    from sklearn.decomposition import PCA

    pca = PCA(random_state=0).fit(train.reshape(len(train), -1))
    codes = pca.transform(noisy.reshape(len(noisy), -1))
    answers = []
    for size in range(1, codes.shape[1] + 1):
        rows = codes[:, :size] @ pca.components_[:size] + pca.mean_
        answers.append(np.clip(rows, 0, 1).reshape(test.shape))
    best = int(np.argmax([_psnr(answer, test) for answer in answers]))
    return answers[best], best + 1
