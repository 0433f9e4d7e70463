"""Write the golden files of this version: ``python -m tests.golden.make``.

Once for each released version, never again: every later version must load them and answer alike.
"""

from importlib import metadata
from pathlib import Path

import numpy as np
from sklearn.base import clone

from latently import (
    AnomalyDetector,
    Autoencoder,
    AutoencoderDenoiser,
    AutoencoderImputer,
    ConvolutionalAutoencoder,
    DenoisingAutoencoder,
    DenseNetwork,
    FeatureExtractor,
    ImputationAutoencoder,
    LatentSampler,
    MapAutoencoder,
    NeighborAutoencoder,
    SparseAutoencoder,
    TableSampler,
    UNetAutoencoder,
    VariationalAutoencoder,
)
from latently.io import write
from tests.contract.samples import answers, matrix, stack, transactions

HERE = Path(__file__).parent
_QUICK = {"max_epochs": 2, "random_state": 0, "engine": "cpu"}
_SMALL = DenseNetwork((8,))
_VAE = VariationalAutoencoder(2, network=_SMALL, **_QUICK)
_MASKED = ImputationAutoencoder(8, n_networks=2, n_trees=4, batch_size=32, **_QUICK)
_NETWORK = DenseNetwork((6,), normalization="batch", dropout=0.1, linear_path=True)
TABLE, NUMBERS, IMAGES = "table.arrow", "numbers.npy", "images.npy"
MODELS = {
    "plain": (Autoencoder(2, network=_SMALL, **_QUICK), TABLE),
    "auto": (Autoencoder(ordered=True, network=_NETWORK, **_QUICK), NUMBERS),
    "variational": (_VAE, TABLE),
    "sparse": (SparseAutoencoder(8, n_active=2, **_QUICK), NUMBERS),
    "denoising": (DenoisingAutoencoder(2, network=_SMALL, **_QUICK), TABLE),
    "map": (MapAutoencoder(2, **_QUICK), NUMBERS),
    "convolutional": (ConvolutionalAutoencoder(2, **_QUICK), IMAGES),
    "unet": (UNetAutoencoder(channels=(4, 8), **_QUICK), IMAGES),
    "memory": (NeighborAutoencoder(random_state=0), TABLE),
    "masked": (_MASKED, TABLE),
    "detector": (AnomalyDetector(random_state=0), TABLE),
    "detector-network": (AnomalyDetector(autoencoder=_VAE, random_state=0), TABLE),
    "imputer": (AutoencoderImputer(autoencoder=_MASKED, random_state=0), TABLE),
    "denoiser": (AutoencoderDenoiser(autoencoder=_VAE, random_state=0), NUMBERS),
    "sampler": (LatentSampler(autoencoder=_VAE, random_state=0), NUMBERS),
    "table-sampler": (TableSampler(n_trees=2, random_state=0), TABLE),
    "features": (FeatureExtractor(autoencoder=_VAE, random_state=0), TABLE),
}


def numbers_of(answer):
    """Return what can be kept of an answer: its numbers."""
    if isinstance(answer, np.ndarray) and answer.dtype.kind in "fiub":
        return answer
    columns = [column for column in answer.columns if column.type in ("double", "int64")]
    return np.stack([column.to_numpy() for column in columns], 1)


def main():
    folder = HERE / metadata.version("latently")
    folder.mkdir()
    rows = {TABLE: transactions("pyarrow", 60), NUMBERS: matrix(40), IMAGES: stack(20, 6, 6)}
    for name, data in rows.items():
        write(data, folder / name)
    for name, (model, source) in MODELS.items():
        fitted = clone(model).fit(rows[source])
        fitted.save(folder / f"{name}.safetensors")
        given = {key: numbers_of(value) for key, value in answers(fitted, rows[source]).items()}
        np.savez_compressed(folder / f"{name}.npz", **given)


if __name__ == "__main__":
    main()
