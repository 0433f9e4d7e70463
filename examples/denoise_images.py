"""
Denoise images
==============

A U-net learns from pairs of noisy and clean images and removes noise from images that it has not
seen.
"""

import numpy as np
from sklearn.datasets import load_digits

from latently import AutoencoderDenoiser, UNetAutoencoder, plot_images

clean = load_digits().images / 16
noise = np.random.default_rng(0).normal(scale=0.3, size=clean.shape)
noisy = np.clip(clean + noise, 0, 1)

model = UNetAutoencoder(max_epochs=5, random_state=0)
denoiser = AutoencoderDenoiser(autoencoder=model).fit(noisy[:1500], clean[:1500])
denoised = denoiser.transform(noisy[1500:])

# %%
# The squared error falls on images that were not in ``fit``.

for name, images in {"noisy": noisy[1500:], "denoised": denoised}.items():
    print(f"{name}: mean squared error {np.mean((images - clean[1500:]) ** 2):.4f}")

# %%
# From top to bottom: noisy, denoised, clean.

rows = np.concatenate([noisy[1500:1508], denoised[:8], clean[1500:1508]])
comparison = plot_images(rows, n_columns=8, title="Noisy, denoised and clean digits")
