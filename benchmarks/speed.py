"""How fast: a step of a small network, a whole fit, and scoring, beside peers in one run.

    OMP_NUM_THREADS=1 python benchmarks/speed.py --out speed.json

``steps``: microseconds a training step of 10-64-32-4 and 100-64-32-8 and back, batches of 128, one
thread, by the way that it is taken; processor time, the least of the rounds. JAX is a step under
``jit`` and ``scan``, AdamW by optax.
``fits``: 8,000 rows to learn from, 2,000 to judge by, 20 columns made by five causes: PyOD's
``AutoEncoder`` and scikit-learn's ``MLPRegressor(X, X)`` with the layers of ours, at equal batches
and epochs, and ours by default; times as multiples of ours, the median of rounds side by side.
``reach``: a peer of ``fits``, and ours with the fewest passes that rebuild one half of the new
rows as well; errors are those of the other half, which had no say.
``seeds``: ``fit_seeds`` of eight models beside a fit of one, and ``fit_sizes`` of eight codes
beside the fits of each.
``large``: a step of 784-1000-500-250-30 and back, of pixels, as a share of the rate of the products
of matrices that it is made of, in single precision, by wall clock; and ``score_samples`` and
``transform`` at the rate of the bare network's forward, in single precision.
``gpu``: a step of both, and of the large network in batches of 1,024, on a CUDA device, by the way
that it is taken, and at the rate of its products; left out where there is none.
``images``: pythae's autoencoders on digits, and ours until they rebuild unseen ones as well.
``fits`` ends with the scoring of 200,000 rows, beside PyOD and the bare network's forward.

Peers: ``pip install pyod==3.6.7 tqdm jax optax``; one that is not installed is left out.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain, pairwise
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from sklearn.base import clone
from sklearn.neural_network import MLPRegressor
from torch import nn

import latently
from _pictures import mnist, squared_error
from _records import (
    Record,
    in_rounds,
    matmul_rate,
    print_machine,
    print_table,
    say,
    seconds_of,
    unique,
    written,
)
from latently.nn import Cells
from latently.training._data import Batch
from latently.training._step import RecordedStep, Step, Update, make_step

SHAPES = ((10, 64, 32, 4), (100, 64, 32, 8))
BATCH, N_STEPS, N_ROUNDS = 128, 400, 5
LAYERS, EPOCHS = (64, 32), 20
LARGE, LARGE_BATCHES = (784, 1_000, 500, 250, 30), (128, 256, 1_024)


# ------------------------------------------------------------------ steps
def steps(_: Path | None) -> Iterator[Record]:
    """Time a step, by the way that it is taken."""
    for shape in SHAPES:
        name = "-".join(map(str, shape))
        rows = torch.from_numpy(np.random.default_rng(0).normal(size=(BATCH, shape[0])))
        ways = {
            "plain eager, Adam": _eager(shape, rows.float(), fused=False),
            "plain eager, fused Adam": _eager(shape, rows.float(), fused=True),
            "latently, eager": _ours(shape, rows, Step),
            "latently, recorded": _ours(shape, rows, RecordedStep),
            "JAX, jit and scan": _jax(shape, rows.float().numpy()),
        }
        for way, run in ways.items():
            if run is None:
                say(f"{way}: not installed, left out")
                continue
            say(f"{name}: {way}")
            run()
            spent = min(_processor_seconds(run) for _ in range(N_ROUNDS))
            yield Record("steps", name, "normal", way, 0, "us", 1e6 * spent / N_STEPS)
        yield Record("steps", name, "normal", "to record", 0, "us", 1e6 * _recording(shape, rows))


def _processor_seconds(run: Callable[[], Any]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def _plain(shape: tuple[int, ...]) -> nn.Module:
    sizes = [*shape, *reversed(shape[:-1])]
    layers: list[nn.Module] = []
    for place, (n_in, n_out) in enumerate(pairwise(sizes)):
        is_bent = place not in (len(shape) - 2, len(sizes) - 2)
        layers += [nn.Linear(n_in, n_out), *([nn.GELU()] if is_bent else [])]
    return nn.Sequential(*layers)


def _eager(
    shape: tuple[int, ...], rows: torch.Tensor, *, fused: bool, n_steps: int = N_STEPS
) -> Callable[[], None]:
    model = _plain(shape).to(rows.device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=fused)

    def run() -> None:
        for _ in range(n_steps):
            optimizer.zero_grad(set_to_none=True)
            (model(rows) - rows).square().mean().backward()
            optimizer.step()

    return run


def _lesson(shape: tuple[int, ...], rows: torch.Tensor) -> tuple[Any, Batch]:
    network = latently.DenseNetwork(shape[1:-1])
    model = latently.Autoencoder(shape[-1], network=network, max_epochs=1, random_state=0)
    cells = Cells(rows.float())
    module = model.fit(rows.cpu().numpy()).module_.to(rows.device)
    return module.train(), Batch(cells, cells, None)


def _ours(
    shape: tuple[int, ...], rows: torch.Tensor, kind: type[Step], n_steps: int = N_STEPS
) -> Callable[[], None]:
    module, batch = _lesson(shape, rows)
    step = kind(latently.LocalEngine(str(rows.device)), module, Update(1e-3, 0.01))

    def run() -> None:
        for _ in range(n_steps):
            step.gradients(batch, 0.0)
            step.clip(1.0)
            step.descend(1e-3)

    return run


def _recording(shape: tuple[int, ...], rows: torch.Tensor) -> float:
    """Return the seconds that it takes to record a step, once torch has been warmed up."""
    module, batch = _lesson(shape, rows)
    step = RecordedStep(latently.LocalEngine("cpu"), module, Update(1e-3, 0.01))
    start = time.perf_counter()
    step._record(batch)
    return time.perf_counter() - start


def _jax(shape: tuple[int, ...], rows: np.ndarray) -> Callable[[], Any] | None:
    try:
        import jax
        import optax
    except ImportError:
        return None
    sizes = [*shape, *reversed(shape[:-1])]
    rng = np.random.default_rng(0)
    weights = [
        (rng.normal(size=(a, b)).astype(np.float32) / a**0.5, np.zeros(b, np.float32))
        for a, b in pairwise(sizes)
    ]
    optimizer = optax.adamw(1e-3, weight_decay=0.01)

    def loss(weights: Any) -> Any:
        x = rows
        for place, (w, b) in enumerate(weights):
            x = x @ w + b
            if place not in (len(shape) - 2, len(sizes) - 2):
                x = jax.nn.gelu(x, approximate=False)
        return ((x - rows) ** 2).mean()

    def one(state: Any, _: Any) -> Any:
        weights, moments = state
        value, gradients = jax.value_and_grad(loss)(weights)
        changes, moments = optimizer.update(gradients, moments, weights)
        return (optax.apply_updates(weights, changes), moments), value

    many = jax.jit(lambda state: jax.lax.scan(one, state, None, length=N_STEPS))
    state = weights, optimizer.init(weights)
    return lambda: jax.block_until_ready(many(state))


# ------------------------------------------------------------------ fits and scoring
def table(n_rows: int, seed: int = 0) -> np.ndarray:
    """Return rows of 20 columns that five causes made, in standard deviations."""
    rng = np.random.default_rng(seed)
    causes = rng.normal(size=(n_rows, 5))
    rows = np.tanh(causes @ rng.normal(size=(5, 64)) / 2) @ rng.normal(size=(64, 20)) / 8
    return (rows - rows.mean(0)) / rows.std(0)


#: Passes that are tried until a peer's error is reached.
PASSES = range(1, EPOCHS + 1)


def reach(_: Path | None) -> Iterator[Record]:
    """Time our fits that rebuild new rows as well as a peer's."""
    X = table(10_000)
    train, chosen, judged = X[:8_000], X[8_000:9_000], X[9_000:]
    peers = {"PyOD AutoEncoder": _pyod, "MLPRegressor(X, X)": _regressor}
    for name, make in peers.items():
        if make() is None:
            continue
        peer = _fitted(make(), train)
        wanted = _error(peer, chosen)
        for n_passes in PASSES:
            ours = _fitted(_ours_in(n_passes), train)
            if _error(ours, chosen) <= wanted:
                break
        times = in_rounds(
            [lambda m=make: _fitted(m(), train), lambda n=n_passes: _fitted(_ours_in(n), train)]
        )
        ratio = median(np.array(times[0]) / np.array(times[1]))
        figures = {
            "times ours": ratio, "passes of ours": n_passes, "error": _error(peer, judged),
            "error of ours": _error(ours, judged),
        }  # fmt: skip
        for what, value in figures.items():
            yield Record("reach", "20 columns", "made", name, 0, what, value)


def _ours_in(n_passes: int) -> Any:
    return latently.Autoencoder(
        5, network=latently.DenseNetwork(LAYERS), max_epochs=n_passes, random_state=0
    )


def _error(model: Any, rows: np.ndarray) -> float:
    return float(np.square(_rebuilt(model, rows) - rows).mean())


def _regressor() -> MLPRegressor:
    return MLPRegressor(
        hidden_layer_sizes=(*LAYERS, 5, *reversed(LAYERS)), batch_size=BATCH,
        max_iter=EPOCHS, n_iter_no_change=EPOCHS, random_state=0,
    )  # fmt: skip


def fits(_: Path | None) -> Iterator[Record]:
    """Time whole fits, and judge them by other rows."""
    X = table(10_000)
    train, test = X[:8_000], X[8_000:]
    network = latently.DenseNetwork(LAYERS)
    equal = {"batch_size": BATCH, "max_epochs": EPOCHS, "patience": None}
    makers: dict[str, Callable[[], Any]] = {
        "latently, equal": lambda: latently.Autoencoder(
            5, network=network, **equal, random_state=0
        ),
        "latently, default": lambda: latently.Autoencoder(5, random_state=0),
        "PyOD AutoEncoder": _pyod,
        "MLPRegressor(X, X)": _regressor,
    }
    makers = {name: make for name, make in makers.items() if make() is not None}
    models: dict[str, Any] = {}

    def fit(name: str) -> Callable[[], Any]:
        return lambda: models.update({name: _fitted(makers[name](), train)})

    times = in_rounds([fit(name) for name in makers])
    ours = np.array(times[0])
    for name, spent in zip(makers, times, strict=True):
        error = _error(models[name], test)
        yield Record("fits", "20 columns", "made", name, 0, "times ours", median(spent / ours))
        yield Record("fits", "20 columns", "made", name, 0, "error of new rows", error)
    yield from _scoring(models, table(200_000, seed=1))


def _pyod() -> Any:
    try:
        from pyod.models.auto_encoder import AutoEncoder
    except ImportError:
        return None
    return AutoEncoder(
        hidden_neuron_list=[*LAYERS, 5], epoch_num=EPOCHS, batch_size=BATCH, preprocessing=False,
        verbose=0, batch_norm=False, dropout_rate=0.0, random_state=0,
    )  # fmt: skip


def _fitted(model: Any, rows: np.ndarray) -> Any:
    return model.fit(rows, rows) if isinstance(model, MLPRegressor) else model.fit(rows) or model


def _rebuilt(model: Any, rows: np.ndarray) -> np.ndarray:
    if hasattr(model, "reconstruct"):
        return np.asarray(model.reconstruct(rows))
    if isinstance(model, MLPRegressor):
        return np.asarray(model.predict(rows))
    with torch.no_grad():
        answer: np.ndarray = model.model.eval()(torch.from_numpy(rows).float()).numpy()
    return answer


def _scoring(models: dict[str, Any], rows: np.ndarray) -> Iterator[Record]:
    model, larger = models["latently, equal"], models["latently, default"]
    single = rows.astype(np.float32)
    calls: dict[str, Callable[[], Any]] = {
        "latently": lambda: model.score_samples(single),
        "latently, double": lambda: model.score_samples(rows),
        "bare network": _bare(model.module_, single),
        "latently, default layers": lambda: larger.score_samples(single),
        "bare network, default layers": _bare(larger.module_, single),
    }
    if "PyOD AutoEncoder" in models:
        calls["PyOD AutoEncoder"] = lambda: models["PyOD AutoEncoder"].decision_function(rows)
    times = in_rounds(list(calls.values()))
    for name, spent in zip(calls, times, strict=True):
        ratio = median(np.array(spent) / np.array(times[0]))
        yield Record("scoring", "200,000 rows", "made", name, 0, "times ours", ratio)


def _bare(module: Any, rows: np.ndarray, *, encodes_only: bool = False) -> Callable[[], None]:
    """Return the forward of a network without judging, scaling or scoring rows."""
    parts = torch.from_numpy(rows).split(4_096)

    def run() -> None:
        with torch.no_grad():
            for part in parts:
                code = module.encoder(part - module.center)
                if not encodes_only:
                    module.decoder(code)

    return run


# ------------------------------------------------------------------ seeds
def seeds(_: Path | None) -> Iterator[Record]:
    """Time eight models trained at once: of eight seeds in units of one, of sizes beside each."""
    for shape in SHAPES:
        name = "-".join(map(str, shape))
        rng = np.random.default_rng(0)
        causes = rng.normal(size=(6_000, 5))
        rows = np.tanh(causes @ rng.normal(size=(5, shape[0])))
        network = latently.DenseNetwork(shape[1:-1])
        for kind in ("Autoencoder", "VariationalAutoencoder", "DenoisingAutoencoder"):
            say(f"{name}: seeds of {kind}")
            model = getattr(latently, kind)(
                shape[-1], network=network, batch_size=BATCH, max_epochs=EPOCHS, patience=None,
                random_state=0,
            )  # fmt: skip
            several = partial(latently.fit_seeds, model, rows, 8)
            times = in_rounds([partial(model.fit, rows), several])
            ratio = median(np.array(times[1]) / np.array(times[0]))
            yield Record("seeds", f"eight of {name}", "made", kind, 0, "times one", ratio)
        say(f"{name}: sizes")
        plain = latently.Autoencoder(
            network=network, batch_size=BATCH, max_epochs=EPOCHS, patience=None, random_state=0
        )
        sizes = range(1, 9)
        each = [partial(clone(plain).set_params(n_components=size).fit, rows) for size in sizes]
        times = in_rounds([partial(latently.fit_sizes, plain, rows, sizes), *each])
        ratio = median(np.sum(times[1:], 0) / np.array(times[0]))
        yield Record("seeds", f"sizes of {name}", "made", "one by one", 0, "times at once", ratio)


# ------------------------------------------------------------------ large
def large(_: Path | None) -> Iterator[Record]:
    """Hold the steps of a large network against the products of matrices that it is made of."""
    for batch in LARGE_BATCHES:
        rows = torch.rand(batch, LARGE[0])
        cells = Cells(rows)
        whole = _products(rows, torch.float32)
        calls: dict[str, Callable[[], Any]] = {"its products alone": whole}
        for precision in ("float32", "bfloat16", "auto"):
            engine = latently.LocalEngine("cpu", precision=precision)
            module = _large_module()
            step = make_step(engine, module, Update(1e-3, 0.01), 1_000)
            calls[f"latently, {precision}"] = partial(_one_step, step, Batch(cells, cells, None))
        calls["plain eager, fused Adam"] = _eager(LARGE, rows, fused=True, n_steps=1)
        calls["its products alone, bfloat16"] = _products(rows, torch.bfloat16)
        say(f"large: batch of {batch}")
        for call in calls.values():
            for _ in range(5):
                call()
        # In turns: a processor is not as fast at all times.
        turns = [{name: seconds_of(call) for name, call in calls.items()} for _ in range(20)]
        for name in calls:
            share = median(turn["its products alone"] / turn[name] for turn in turns)
            yield Record("large", f"batch of {batch}", "made", name, 0, "rate of products", share)
    model, images = _large_model(), np.random.default_rng(0).random((20_000, LARGE[0]), np.float32)
    say("large: scoring")
    asked = {"score_samples": model.score_samples, "transform": model.transform}
    for name, ask in asked.items():
        bare = _bare(model.module_, images, encodes_only=name == "transform")
        times = in_rounds([partial(ask, images), bare])
        share = median(np.array(times[1]) / np.array(times[0]))
        yield Record("large", "20,000 images", "made", name, 0, "rate of the bare network", share)


def _large_module() -> Any:
    return _large_model().module_.train()


def _large_model() -> Any:
    model = latently.Autoencoder(
        LARGE[-1], network=latently.DenseNetwork(LARGE[1:-1]), likelihood="bernoulli",
        max_epochs=1, random_state=0,
    )  # fmt: skip
    return model.fit(np.random.default_rng(0).random((40, LARGE[0])))


def _one_step(step: Step, batch: Batch) -> None:
    step.gradients(batch, 0.0)
    step.clip(1.0)
    step.descend(1e-3)


def _products(rows: torch.Tensor, dtype: torch.dtype) -> Callable[[], None]:
    """Return the products of one step: forward, and backward to weights and inputs."""
    layers = list(pairwise([*LARGE, *reversed(LARGE[:-1])]))
    batch, place = len(rows), {"dtype": dtype, "device": rows.device}
    parts = [
        tuple(torch.rand(shape).to(**place) for shape in ((batch, a), (b, a), (batch, b)))
        for a, b in layers
    ]

    def run() -> None:
        for place, (rows, weight, gradient) in enumerate(parts):
            rows @ weight.T
            gradient.T @ rows
            if place:
                gradient @ weight

    return run


# ------------------------------------------------------------------ GPU
def gpu(_: Path | None) -> Iterator[Record]:
    """Time steps on a CUDA device, by wall clock once it is done."""
    if not torch.cuda.is_available():
        say("gpu: no CUDA device, left out")
        return
    say(f"gpu: {torch.cuda.get_device_name()}")
    yield from _on(torch.device("cuda"), torch.cuda.synchronize)


def _on(device: torch.device, wait: Callable[[], None]) -> Iterator[Record]:
    for shape, batch in ((SHAPES[0], BATCH), (SHAPES[1], BATCH), (LARGE, LARGE_BATCHES[-1])):
        rows = torch.rand(batch, shape[0], device=device)
        n_steps = N_STEPS if shape in SHAPES else 50
        ways: dict[str, Callable[[], Any]] = {
            "plain eager, fused Adam": _eager(shape, rows, fused=True, n_steps=n_steps),
            "latently, eager": _ours(shape, rows, Step, n_steps),
            "latently, recorded": _ours(shape, rows, RecordedStep, n_steps),
        }
        if shape is LARGE:
            for dtype in (torch.float32, torch.bfloat16):
                ways[f"its products alone, {dtype}"] = _repeated(_products(rows, dtype), n_steps)
        for way, run in ways.items():
            run()
            wait()
            spent = min(seconds_of(lambda r=run: (r(), wait())) for _ in range(N_ROUNDS))
            name = "-".join(map(str, shape))
            yield Record(
                "gpu", f"{name}, {batch} rows", "made", way, 0, "us", 1e6 * spent / n_steps
            )


def _repeated(call: Callable[[], Any], n_times: int) -> Callable[[], None]:
    def run() -> None:
        for _ in range(n_times):
            call()

    return run


# ------------------------------------------------------------------ images
def images(data: Path | None) -> Iterator[Record]:
    """Time pythae's autoencoders, and ours up to the same error of unseen digits."""
    if data is None:
        say("images: need --data with mnist.npz, left out")
        return
    found = mnist(data, 6_000, 2_000)
    for name, make_peer, make_ours, n_images, n_epochs in (
        ("dense 784-512-30", _pythae_dense, _ours_dense, 6_000, 10),
        ("convolutions", _pythae_conv, _ours_conv, 1_000, 3),
    ):
        train = found.train[:n_images]
        try:
            peer = make_peer(n_epochs)
        except ImportError:
            say("pythae: not installed, left out")
            return
        say(f"images: {name}")
        spent = seconds_of(lambda p=peer, t=train: p.fit(t))
        goal = squared_error(found.test, peer.reconstruct(found.test))
        yield Record("images", name, "mnist", "pythae", 0, "squared error", goal)
        for epochs in (1, 2, 3, 5, 8, 12, 20, 32):
            model = make_ours(epochs)
            own = seconds_of(lambda m=model, t=train: m.fit(t))
            error = squared_error(found.test, model.reconstruct(found.test))
            if error <= goal:
                break
        yield Record("images", name, "mnist", "latently", 0, "squared error", error)
        yield Record("images", name, "mnist", "latently", 0, "times ours", 1.0)
        yield Record("images", name, "mnist", "pythae", 0, "times ours", spent / own)


def _ours_dense(n_epochs: int) -> Any:
    network = latently.DenseNetwork((512,), normalization="batch")
    return latently.Autoencoder(
        30, network=network, batch_size=128, max_epochs=n_epochs, random_state=0
    )


def _ours_conv(n_epochs: int) -> Any:
    return latently.ConvolutionalAutoencoder(30, batch_size=64, max_epochs=n_epochs, random_state=0)


def _pythae_dense(n_epochs: int) -> Any:
    from _coders import Pythae

    return Pythae("ae", 30, 0, n_epochs=n_epochs, batch_size=128, learning_rate=1e-3)


def _pythae_conv(n_epochs: int) -> Any:
    from _coders import Pythae

    return Pythae("conv", 30, 0, n_epochs=n_epochs, batch_size=64, learning_rate=1e-3)


# ------------------------------------------------------------------ report
def report(records: list[Record]) -> None:
    """Print a table for each setting."""
    for part, setting in unique((r.part, r.setting) for r in records):
        chosen = [r for r in records if (r.part, r.setting) == (part, setting)]
        measures = unique(r.measure for r in chosen)
        values = {(r.method, r.measure): r.value for r in chosen}
        print(f"\n## {part}: {setting}\n")
        body = [
            [
                method,
                *(f"{values[method, m]:.4g}" if (method, m) in values else "-" for m in measures),
            ]
            for method in unique(r.method for r in chosen)
        ]
        print_table(["", *measures], body)


PARTS: dict[str, Callable[[Path | None], Iterator[Record]]] = {
    "steps": steps, "fits": fits, "reach": reach, "seeds": seeds, "large": large,
    "gpu": gpu, "images": images,
}  # fmt: skip


def main() -> None:
    """Run what was asked for and print the tables."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--data", type=Path, help="folder with mnist.npz, for images; all else is made")
    p.add_argument("--part", default=",".join(PARTS), help=f"some of {','.join(PARTS)}")
    p.add_argument("--out", type=Path, help="CSV to append figures to, or JSON to write them to")
    args = p.parse_args()
    print_machine()
    print(f"a product of two matrices of 1,024: {matmul_rate()} GFLOP/s")
    asked = chain.from_iterable(PARTS[part](args.data) for part in args.part.split(","))
    records = list(written(asked, args.out))
    report(records)


if __name__ == "__main__":
    main()
