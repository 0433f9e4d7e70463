"""Compression, maps, features, density, generation and denoising beside peers, in one run.

README.md's tables come from this command, run in the repository's root:

    python benchmarks/representation.py --data ../shared/data --out representation.csv

``--data`` holds ``mnist.npz`` and ``features/*.npz`` (x_train, y_train, x_test, y_test). Peers:
``pip install umap-learn pacmap pythae==0.1.2 scikit-image pywavelets bm3d``; one that is not
installed is named, and left out. CPU seconds are those of this process, on ``OMP_NUM_THREADS=1``.

Parts
    compress     30 numbers an image: squared error summed over the pixels of unseen images.
    map          two numbers an image: accuracy of five neighbours, trustworthiness, error.
    features     accuracy of a logistic regression taught by few labels and by all.
    density      test NLL of stochastically binarised images, 50 latents.
    generate     how like real images generated ones are, to a classifier of real ones.
    denoise      PSNR and SSIM beside classic filters, digits.
    enlarge      PSNR and SSIM of digits made large again.
    photographs  PSNR beside non-local means, pictures that come with scikit-image.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import latently
from _coders import COMPRESSORS, EXTRACTORS, GENERATORS, MAPPERS, Coder, Method
from _pictures import (
    Labelled,
    add_noise,
    filtered,
    flat,
    mnist,
    neighbour_accuracy,
    photographs,
    probe_accuracy,
    psnr,
    squared_error,
    ssim,
    table,
    trust,
    tuned_filter,
)
from _records import Record, print_machine, print_table, say, unique, written

WIDTH = 512  # of features, ours and Nystroem's
N_LABELS = (100, 1_000, 0)
NOISES = ("clipped 0.5", "clipped 0.3", "masked 0.5", "unclipped 0.5")
N_JUDGED = 1_000  # images that filters are judged by
N_THREADS = torch.get_num_threads()  # as the environment has it
N_DRAWS = 5_000  # of the estimate of log p(x)


@dataclass(frozen=True)
class Options:
    """What the command line asked for."""

    data: Path
    seeds: tuple[int, ...]
    large: bool
    long: bool
    quick: bool
    pictures: Path | None

    def keep(self, figure: Any, name: str) -> None:
        """Write a picture where they are asked for."""
        if self.pictures is not None:
            figure.savefig(self.pictures / name)

    @property
    def n_train(self) -> int:
        """Images to learn from."""
        return 1_000 if self.quick else 58_000 if self.large else 10_000

    @property
    def epochs(self) -> dict[str, int]:
        """A parameter that shortens a trial."""
        return {"max_epochs": 1} if self.quick else {}


def recorder(part: str, setting: str, dataset: str, method: str, seed: int) -> Any:
    """Return what makes a record of a measure and its value."""

    def record(measure: str, value: float) -> Record:
        return Record(part, setting, dataset, method, seed, measure, float(value))

    return record


def fitted(method: Method, size: int, seed: int, X: np.ndarray) -> tuple[Coder, float]:
    """Return a fitted coder and the CPU seconds it took."""
    torch.set_num_threads(N_THREADS)  # numba, which UMAP uses, raises it for the whole process
    start = time.process_time()
    model = method.build(size, seed)
    model.fit(X)
    return model, time.process_time() - start


def available(methods: Sequence[Method]) -> list[Method]:
    """Return the methods whose packages are installed; name the others."""
    for method in methods:
        if not method.installed:
            print(f"left out: {method.title} needs {method.package}")
    return [method for method in methods if method.installed]


# ---------------------------------------------------------------- compress
def run_compress(options: Options) -> Iterator[Record]:
    """Rebuild unseen images from 30 numbers each."""
    data = mnist(options.data, options.n_train)
    longer = {"max_epochs": 40} if options.large and not options.quick else options.epochs
    methods = [
        *COMPRESSORS,
        Method("latently", lambda k, s: latently.Autoencoder(k, random_state=s, **longer)),
        Method(
            "latently, refined",
            lambda k, s: latently.Autoencoder(k, random_state=s, refinement_steps=10, **longer),
        ),
    ]
    for seed in options.seeds:
        for method in available(methods):
            say(f"compress {method.title} {seed}")
            record = recorder(
                "compress", f"{options.n_train:,} images", "mnist", method.title, seed
            )
            model, seconds = fitted(method, 30, seed, flat(data.train))
            start = time.process_time()
            rebuilt = model.inverse_transform(model.transform(flat(data.test)))
            yield record("squared error", squared_error(data.test, rebuilt))
            yield record("CPU s of fit", seconds)
            yield record("ms an image", 1e3 * (time.process_time() - start) / len(data.test))


# ---------------------------------------------------------------- map
def run_map(options: Options) -> Iterator[Record]:
    """Map unseen images to two numbers."""
    data = mnist(options.data, options.n_train)
    ours = [
        Method("plain", lambda k, s: latently.Autoencoder(k, random_state=s, **options.epochs)),
        Method(
            "latently", lambda k, s: latently.MapAutoencoder(k, random_state=s, **options.epochs)
        ),
    ]
    for seed in options.seeds:
        for method in available([*MAPPERS, *ours]):
            say(f"map {method.title} {seed}")
            record = recorder("map", f"{options.n_train:,} images", "mnist", method.title, seed)
            rows, tests = flat(data.train), flat(data.test)
            model, seconds = fitted(method, 2, seed, rows)
            train = np.asarray(model.transform(rows))
            start = time.process_time()
            test = np.asarray(model.transform(tests))
            yield record("CPU s of new rows", time.process_time() - start)
            yield record("CPU s of fit", seconds)
            codes = Labelled(train, data.y_train, test, data.y_test)
            yield record("accuracy", neighbour_accuracy(codes))
            yield record("trustworthiness", trust(tests, test))
            if hasattr(model, "inverse_transform") and method.title != "UMAP":
                yield record("squared error", squared_error(tests, model.inverse_transform(test)))
            if method.title == "latently":
                options.keep(latently.plot_map(model, tests, data.y_test), "map-digits.png")
                options.keep(plane_of(model, data.test), "plane-digits.png")


def plane_of(model: Any, images: np.ndarray) -> Any:
    """Return a picture of what the places of a map decode to, for a model of rows."""
    low, high = np.quantile(model.transform(flat(images)), [0.005, 0.995], axis=0)
    axes = np.linspace(low, high, 16).T
    grid = np.stack(np.meshgrid(axes[0], axes[1][::-1]), -1).reshape(-1, 2)
    decoded = model.inverse_transform(grid).reshape(-1, *images.shape[1:])
    return latently.plot_images(decoded, 16, title="What lies where on the map")


# ---------------------------------------------------------------- features
def run_features(options: Options) -> Iterator[Record]:
    """Teach a logistic regression by few labels."""

    def ours(size: int, seed: int) -> Coder:
        model = latently.FeatureExtractor(random_state=seed)
        if options.quick:
            model.autoencoder = latently.tasks.default_autoencoder(model).set_params(max_epochs=1)
        return model

    for name in ("letter", "pendigits", "mnist"):
        data = labelled(options, name)
        for method in available([*EXTRACTORS, Method("latently", ours)]):
            say(f"features {name} {method.title}")
            model, seconds = fitted(method, WIDTH, 0, data.train)
            train, test = (np.asarray(model.transform(X)) for X in (data.train, data.test))
            codes = Labelled(train, data.y_train, test, data.y_test)
            yield recorder("features", "seconds", name, method.title, 0)("CPU s of fit", seconds)
            for n_labels in N_LABELS:
                setting = f"{n_labels:,} labels" if n_labels else "all labels"
                for seed in options.seeds if n_labels else options.seeds[:1]:
                    record = recorder("features", setting, name, method.title, seed)
                    yield record("accuracy", probe_accuracy(codes, n_labels, seed))


def labelled(options: Options, name: str) -> Labelled:
    """Return rows with labels, as rows of numbers."""
    if name != "mnist":
        n_train = min(options.n_train, 10_000)
        return table(options.data / "features" / f"{name}.npz", n_train)
    data = mnist(options.data, min(options.n_train, 10_000), 5_000)
    return data._replace(train=flat(data.train), test=flat(data.test))


# ---------------------------------------------------------------- density
def run_density(options: Options) -> Iterator[Record]:
    """Estimate log p(x) of binarised images by importance sampling."""
    data = mnist(options.data, options.n_train if options.quick else 58_000)
    grey = flat(data.test)
    coins = (np.random.RandomState(1).rand(*grey.shape) < grey).astype(np.float32)
    chosen = np.random.RandomState(2).permutation(len(grey))[: 50 if options.quick else 500]
    kinds = {"latently": {"max_epochs": 60}}
    if options.long:
        kinds["latently, long"] = {"max_epochs": 250}
        kinds["latently, 50 draws"] = {"max_epochs": 150, "n_importance": 50}
    for title, parameters in kinds.items():
        for seed in options.seeds:
            say(f"density {title} {seed}")
            record = recorder("density", "50 latents", "mnist", title, seed)
            model = latently.VariationalAutoencoder(
                50, binarize=True, batch_size=250, learning_rate=6e-3, patience=None,
                validation_fraction=0.02, random_state=seed, **{**parameters, **options.epochs},
            )  # fmt: skip
            start = time.process_time()
            model.fit(flat(data.train))
            yield record("CPU s of fit", time.process_time() - start)
            yield record("-ELBO", -model.score_samples(coins, n_draws=1).mean())
            n_draws = 100 if options.quick else N_DRAWS
            start = time.process_time()
            yield record("NLL", -model.score_samples(coins[chosen], n_draws=n_draws).mean())
            yield record("CPU s of NLL", time.process_time() - start)
            yield record("alive", (model.transform(coins).var(0) > 0.01).sum())


# ---------------------------------------------------------------- generate
def run_generate(options: Options) -> Iterator[Record]:
    """Let a classifier of real digits look at generated ones."""
    from sklearn.neural_network import MLPClassifier

    data = mnist(options.data, options.n_train)
    judge = MLPClassifier((256,), max_iter=5 if options.quick else 30, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        judge.fit(flat(data.train), data.y_train)
    vae = latently.VariationalAutoencoder(32, random_state=0, **options.epochs)
    plain = latently.Autoencoder(16, random_state=0, **options.epochs)
    made: dict[str, Any] = {"real, unseen": None}
    for peer in () if options.quick else available(GENERATORS):
        made[f"{peer.title}, its prior"] = peer.build(32, 0).fit(flat(data.train))
    models = {"variational": vae.fit(flat(data.train)), "plain": plain.fit(flat(data.train))}
    for name, model in models.items():
        made[f"{name}, its prior"] = model
        for density in ("mixture", "kernel"):
            sampler = latently.LatentSampler(autoencoder=model, density=density, random_state=0)
            made[f"{name}, {density}"] = sampler.fit(flat(data.train))
    for title, model in made.items():
        say(f"generate {title}")
        if model is not None and title == "variational, mixture":
            images = model.sample(32, random_state=0).reshape(-1, 28, 28)
            words = "Digits that nobody wrote: a variational autoencoder, a mixture of its codes"
            options.keep(latently.plot_images(images, title=words), "samples-digits.png")
        for seed in options.seeds:
            rows = flat(data.test) if model is None else model.sample(5_000, random_state=seed)
            record = recorder("generate", "5,000 images", "mnist", title, seed)
            chances = judge.predict_proba(rows)
            yield record("sure", (chances.max(1) > 0.9).mean())
            shares = chances.mean(0)
            yield record("balance", -(shares * np.log(shares)).sum() / np.log(len(shares)))
            yield record("Frechet distance", frechet(hidden(judge, rows), hidden(judge, data.test)))


def hidden(judge: Any, images: np.ndarray) -> np.ndarray:
    """Return the classifier's hidden layer."""
    return np.maximum(flat(images) @ judge.coefs_[0] + judge.intercepts_[0], 0)


def frechet(left: np.ndarray, right: np.ndarray) -> float:
    """Return the distance of two normals with these rows' means and covariances."""
    from scipy.linalg import sqrtm

    apart = np.square(left.mean(0) - right.mean(0)).sum()
    covariances = [np.cov(rows.T) for rows in (left, right)]
    mixed = sqrtm(covariances[0] @ covariances[1])
    return float(apart + np.trace(covariances[0] + covariances[1] - 2 * np.real(mixed)))


# ---------------------------------------------------------------- denoise
def run_denoise(options: Options) -> Iterator[Record]:
    """Take noise off unseen digits, beside classic filters tuned on 100 other images."""
    data = mnist(options.data, min(options.n_train, 10_000))
    kept, n_judged = data.test[-100:], 50 if options.quick else N_JUDGED
    truth = data.test[np.random.RandomState(3).permutation(len(data.test) - 100)[:n_judged]]
    for setting in NOISES:
        rng = np.random.default_rng(10)
        noisy, tuning, train = (add_noise(part, setting, rng) for part in (truth, kept, data.train))
        answers = {"noisy": (lambda given=noisy: (given, 0.0)), **classic(kept, tuning, noisy)}
        for seed in options.seeds:
            for title, answer in {
                **answers,
                **learnt(options, data, train, noisy, setting, seed),
            }.items():
                say(f"denoise {setting} {title} {seed}")
                found, seconds = answer()
                record = recorder("denoise", setting, "mnist", title, seed)
                found = np.clip(found, 0, 1)
                if title == "latently":
                    shown = np.concatenate([noisy[:8].clip(0, 1), found[:8], truth[:8]])
                    words = f"Noisy ({setting}), denoised, as they were"
                    name = f"denoising-{setting.replace(' ', '-')}.png"
                    options.keep(latently.plot_images(shown, title=words), name)
                yield record("PSNR", psnr(truth, found))
                yield record("SSIM", ssim(truth, found))
                yield record("CPU s of fit", seconds)


Answers = dict[str, Callable[[], tuple[np.ndarray, float]]]


def classic(kept: np.ndarray, tuning: np.ndarray, noisy: np.ndarray) -> Answers:
    """Return filters of scikit-image and SciPy, each of its best strength."""
    from scipy.ndimage import median_filter
    from skimage.restoration import denoise_nl_means, denoise_tv_chambolle, denoise_wavelet

    filters: dict[str, tuple[Callable[[float], Any], tuple[float, ...]]] = {
        "median": (lambda q: lambda x: median_filter(x, int(q)), (3, 5)),
        "total variation": (
            lambda q: lambda x: denoise_tv_chambolle(x, weight=q),
            (0.03, 0.06, 0.1, 0.2, 0.3, 0.45, 0.6, 0.9),
        ),
        "non-local means": (
            lambda q: lambda x: denoise_nl_means(x, patch_size=5, patch_distance=9, h=q),
            (0.05, 0.08, 0.13, 0.2, 0.3, 0.4, 0.5, 0.65),
        ),
        "wavelets": (
            lambda q: lambda x: denoise_wavelet(x, sigma=q),
            (0.05, 0.1, 0.2, 0.3, 0.45, 0.6),
        ),
    }
    if importlib.util.find_spec("bm3d") is None:
        print("left out: BM3D needs bm3d")
    else:
        import bm3d

        filters["BM3D"] = (lambda q: lambda x: bm3d.bm3d(x, q), (0.2, 0.3, 0.4, 0.5))

    def answer(name: str) -> tuple[np.ndarray, float]:
        make, strengths = filters[name]
        return filtered(tuned_filter(make, strengths, kept, tuning), noisy), 0.0

    return {name: (lambda name=name: answer(name)) for name in filters}


def learnt(
    options: Options, data: Labelled, train: np.ndarray, noisy: np.ndarray, setting: str, seed: int
) -> Answers:
    """Return what learns from pairs of noisy and clean images."""

    def pca() -> tuple[np.ndarray, float]:
        from sklearn.decomposition import PCA

        start = time.process_time()
        model = PCA(40, random_state=seed).fit(flat(train))
        rows = model.inverse_transform(model.transform(flat(noisy)))
        return rows.reshape(noisy.shape), time.process_time() - start

    def ours() -> tuple[np.ndarray, float]:
        start = time.process_time()
        network = latently.UNetAutoencoder(**options.epochs) if options.quick else None
        model = latently.AutoencoderDenoiser(autoencoder=network, random_state=seed)
        model.fit(train, data.train)
        seconds = time.process_time() - start
        return model.transform(noisy), seconds

    def blind() -> tuple[np.ndarray, float]:
        start = time.process_time()
        model = latently.UNetAutoencoder(
            blind=True, likelihood="gaussian", random_state=seed, **options.epochs
        )
        model.fit(train)
        return model.reconstruct(noisy), time.process_time() - start

    learners: Answers = {"PCA": pca, "latently": ours}
    if setting.startswith("unclipped"):
        learners["latently, blind"] = blind
    return learners


# ---------------------------------------------------------------- enlarge
def run_enlarge(options: Options) -> Iterator[Record]:
    """Make small images large again, beside splines."""
    from scipy.ndimage import zoom

    data = mnist(options.data, min(options.n_train, 10_000), N_JUDGED)
    small = data.test.reshape(-1, 14, 2, 14, 2).mean((2, 4))
    splines = np.stack([zoom(image, 2, order=3, grid_mode=True, mode="nearest") for image in small])
    for seed in options.seeds:
        say(f"enlarge {seed}")
        model = latently.UNetAutoencoder(enlarge=2, random_state=seed, **options.epochs)
        start = time.process_time()
        model.fit(data.train)
        seconds = time.process_time() - start
        answers = {
            "repeated pixels": (small.repeat(2, 1).repeat(2, 2), 0.0),
            "cubic splines": (splines, 0.0),
            "latently": (model.reconstruct(small), seconds),
        }
        for title, (found, taken) in answers.items():
            record = recorder("enlarge", "14 x 14 to 28 x 28", "mnist", title, seed)
            found = np.clip(found, 0, 1)
            yield record("PSNR", psnr(data.test, found))
            yield record("SSIM", ssim(data.test, found))
            yield record("CPU s of fit", taken)


# ---------------------------------------------------------------- photographs
def run_photographs(options: Options) -> Iterator[Record]:
    """Take noise off pictures, learning from a few others."""
    from skimage.restoration import denoise_nl_means

    train, tested = photographs()
    for seed in options.seeds:
        model = latently.UNetAutoencoder(
            corruption=latently.GaussianNoise((0.0, 0.3)), random_state=seed, **options.epochs
        )
        say(f"photographs {seed}")
        start = time.process_time()
        model.fit(list(train.values()))
        seconds = time.process_time() - start
        for scale in (0.1, 0.2):
            for name, truth in tested.items():
                noise = np.random.default_rng(seed).standard_normal(truth.shape, dtype=np.float32)
                noisy = truth + scale * noise
                best = max(
                    psnr(truth[None], np.clip(denoise_nl_means(
                        noisy, patch_size=5, patch_distance=9, h=share * scale, sigma=scale,
                        channel_axis=-1,
                    ), 0, 1)[None])
                    for share in (0.3, 0.4, 0.6, 0.8, 1.0)
                )  # fmt: skip
                answers = {
                    "noisy": psnr(truth[None], np.clip(noisy, 0, 1)[None]),
                    "non-local means, best strength": best,
                    "latently": psnr(truth[None], np.clip(model.reconstruct(noisy[None]), 0, 1)),
                }
                for title, value in answers.items():
                    record = recorder("photographs", f"normal noise {scale}", name, title, seed)
                    yield record("PSNR", value)
                yield record("CPU s of fit", seconds)


# ---------------------------------------------------------------- report
def report(records: Sequence[Record]) -> None:
    """Print, for each setting and data set, methods x measures, medians over the seeds."""
    for setting, dataset in dict.fromkeys((r.setting, r.dataset) for r in records):
        here = [r for r in records if (r.setting, r.dataset) == (setting, dataset)]
        measures = unique(r.measure for r in here)
        body = []
        for method in unique(r.method for r in here):
            found = [
                [r.value for r in here if r.method == method and r.measure == measure]
                for measure in measures
            ]
            body.append([method, *(f"{np.median(v):.4g}" if v else "" for v in found)])
        print(f"\n## {here[0].part}: {dataset}, {setting}\n")
        print_table(["method", *measures], body)


RUN: dict[str, Callable[[Options], Iterator[Record]]] = {
    "compress": run_compress,
    "map": run_map,
    "features": run_features,
    "density": run_density,
    "generate": run_generate,
    "denoise": run_denoise,
    "enlarge": run_enlarge,
    "photographs": run_photographs,
}


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--data", type=Path, required=True, help="folder with mnist.npz, features/")
    p.add_argument("--part", default=",".join(RUN), help=f"some of {', '.join(RUN)}")
    p.add_argument("--seeds", default="0")
    p.add_argument("--large", action="store_true", help="58,000 images instead of 10,000")
    p.add_argument("--long", action="store_true", help="density: the long runs too")
    p.add_argument("--quick", action="store_true", help="few images, one pass: a trial")
    p.add_argument("--out", type=Path, help="CSV to append figures to, or JSON to write them to")
    p.add_argument("--pictures", type=Path, help="folder for pictures of ours")
    return p


def main() -> None:
    """Run the parts one after the other and print each one's tables when it is done."""
    given = parser().parse_args()
    seeds = tuple(map(int, given.seeds.split(",")))
    options = Options(given.data, seeds, given.large, given.long, given.quick, given.pictures)
    if given.pictures is not None:
        given.pictures.mkdir(parents=True, exist_ok=True)
    warnings.filterwarnings("ignore")
    print_machine()
    if given.out is not None:
        given.out.write_text(",".join(Record._fields) + "\n")
    for part in given.part.split(","):
        report(list(written(RUN[part](options), given.out)))


if __name__ == "__main__":
    main()
