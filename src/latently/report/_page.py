"""The report as one self-contained HTML file."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from dataclasses import dataclass, field
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

import numpy as np
from jinja2 import Environment
from sklearn.base import is_outlier_detector

from latently._notices import each_once, warn
from latently.estimators import REASONS, BaseAutoencoder, fitted_of, tags_of
from latently.exceptions import DataError
from latently.inspection import traverse
from latently.io._atomic import atomic_path
from latently.report._anomalies import plot_anomalies
from latently.report._contents import gather, rows_at
from latently.report._explanation import plot_explanation
from latently.report._history import plot_history
from latently.report._labels import as_labels
from latently.report._reconstructions import plot_reconstructions, plot_stacks
from latently.report._style import BLUE, DARK, GREY, PALE
from latently.report._tuning import plot_components
from latently.report.maps._map import plot_map
from latently.schema import text_names

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Columns whose errors are listed, and rows that are drawn in a map.
_N_COLUMNS, _MAX_POINTS = 30, 2_000
_N_WALKED, _N_STEPS, _N_EXPLAINED = 3, 8, 8
#: CSS pixels of the frame in a notebook.
_FRAME_HEIGHT = 600
#: Colours of a picture and their replacements on dark pages.
_ON_DARK = {
    DARK: "#e9e9e7",
    GREY: "#adb0b5",
    PALE: "#43474d",
    BLUE: "#56b4e9",
    "#ffffff": "#15171a",
    "#000000": "#e9e9e7",
}


class Picture(NamedTuple):
    """A drawing as two data URLs, for light and for dark pages.

    Attributes
    ----------
    light, dark : str
        SVG, base64.
    alt : str
        Alternative text, a description of the picture.
    width, height : int
        In CSS pixels.
    """

    light: str
    dark: str
    alt: str
    width: int
    height: int


@dataclass(eq=False, repr=False)
class Report:
    """Evaluation of a model, as data and as a page.

    A notebook shows the conclusion, the findings and, once the page is saved beside the notebook,
    the page in a frame. The page itself, some 100 kB to 1 MB, never enters the notebook.

    Attributes
    ----------
    contents : dict
        Results as dicts, lists and plain values.
    html : str
        A self-contained page, without scripts or external resources.
    path : Path or None
        Path of the most recent save. None if the report was not saved.
    """

    contents: dict[str, Any]
    html: str
    path: Path | None = field(default=None, init=False)

    def to_dict(self) -> dict[str, Any]:
        """Return the contents.

        Returns
        -------
        dict
            Ready for JSON.
        """
        return self.contents

    def save(self, path: str | Path, *, overwrite: bool = True) -> None:
        """Write the page, or its contents where the name ends in ``.json``.

        Parameters
        ----------
        path : str or Path
            Output file. It is replaced atomically.
        overwrite : bool, default=True
            False refuses to replace a file.

        Raises
        ------
        OutputExistsError
            If the file exists and may not be replaced.
        """
        text = json.dumps(self.contents, indent=1) if Path(path).suffix == ".json" else self.html
        with atomic_path(path, overwrite) as temporary:
            Path(temporary).write_text(text, encoding="utf-8")
        if text is self.html:
            self.path = Path(path)

    def _repr_html_(self) -> str:
        """Return the conclusion and the findings, and the page in a frame if it lies beside."""
        findings = self.contents["health"]["findings"]
        items = "".join(f"<li>{escape(f['severity'])}: {escape(f['what'])}</li>" for f in findings)
        return f"<p>{escape(str(self))}</p>{f'<ul>{items}</ul>' if items else ''}{self._frame()}"

    def _frame(self) -> str:
        if self.path is None or not self.path.exists():
            return "<p><code>save(&quot;report.html&quot;)</code> writes the whole page.</p>"
        whole, here = self.path.resolve(), Path.cwd().resolve()
        if not whole.is_relative_to(here):  # a notebook's server does not serve it
            return f"<p>The whole page: {escape(str(self.path))}</p>"
        source = escape(quote(whole.relative_to(here).as_posix()))
        return (
            f'<iframe src="{source}" title="report" width="100%" height="{_FRAME_HEIGHT}" '
            f'loading="lazy"></iframe><p><a href="{source}" target="_blank">{source}</a></p>'
        )

    def __str__(self) -> str:
        return str(self.contents["conclusion"])

    def __repr__(self) -> str:
        return str(self)


@each_once()
def make_report(model: Any, X: Any, *, color: Any = None, label: str | None = None) -> Report:
    """Create an HTML report on a model and some rows: quality, health checks and outliers.

    Parameters
    ----------
    model : autoencoder or task
        Fitted.
    X : array-like, DataFrame, Table or image stack
        At least 20 rows with the columns of ``fit``. Prefer held-out rows.
    color : array-like of shape (n_samples,), str or None, default=None
        Values that colour the map, one per row, or the name of a column of ``X``.
    label : str or None, default=None
        Title of the legend or colour bar. None uses the name of the column.

    Returns
    -------
    Report
        ``save("report.html")`` writes one HTML file. ``to_dict()`` returns the contents.

    Raises
    ------
    NotFittedError
        If ``fit`` was not called.
    DataError
        If the rows cannot be used, are too few, or there is no such column.

    Examples
    --------
    >>> import latently
    >>> X = np.random.default_rng(0).normal(size=(100, 3))
    >>> model = latently.Autoencoder(2, max_epochs=2, random_state=0).fit(X)
    >>> report = make_report(model, X)
    >>> report.to_dict()["n_rows"]
    100
    """
    contents = gather(model, X)
    pictures = _pictures(model, X, contents, color, label)
    return Report(contents, _render(contents, pictures))


def _render(contents: dict[str, Any], pictures: dict[str, Picture]) -> str:
    folder = files("latently.report") / "templates"
    style = (folder / "report.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    page = Environment(autoescape=True).from_string(
        (folder / "report.html.j2").read_text(encoding="utf-8")
    )
    return page.render(
        **contents, pictures={name: one._asdict() for name, one in pictures.items()},
        inner=contents["facts"]["autoencoder"] or contents["facts"], style=style,
        style_hash=f"sha256-{digest}", n_columns=_N_COLUMNS,
        reasons=REASONS,
    )  # fmt: skip


# ---------------------------------------------------------------- pictures
def _pictures(
    model: Any, X: Any, contents: dict[str, Any], color: Any, label: str | None
) -> dict[str, Picture]:
    autoencoder: BaseAutoencoder = getattr(model, "autoencoder_", model)
    data = fitted_of(autoencoder).validate(X)
    values, name = _colors(data, color)
    label = label or name
    some = np.linspace(0, len(data) - 1, min(len(data), _MAX_POINTS)).astype(int)
    drawn: dict[str, tuple[Figure, str]] = {}
    if len(autoencoder.history_):
        drawn["history"] = (plot_history(autoencoder), "Training and validation loss by step.")
    if hasattr(autoencoder, "components_curve_"):
        drawn["components"] = plot_components(autoencoder), "What codes of each size leave."
    if autoencoder.n_components_ > 1 and tags_of(autoencoder).decodes_codes:
        shown = None if values is None else values[some]
        drawn["map"] = (
            plot_map(autoencoder, rows_at(data, some), shown, label=label),
            "Each row as a point where its code lies."
            + ("" if label is None else f" Coloured by {label}."),
        )
    elif values is not None:
        warn(f"color is for the map, of which a report on {type(model).__name__} has none.")
    drawn["reconstructions"] = (
        plot_reconstructions(autoencoder, X),
        "Rows beside their reconstructions.",
    )
    if is_outlier_detector(model):
        drawn["anomalies"] = plot_anomalies(model, X), "How many rows have which anomaly score."
        worst = [row["row"] for row in contents["worst"]][:_N_EXPLAINED]
        found = model.explain(rows_at(data, np.array(worst)))
        drawn["worst"] = (plot_explanation(found, rows=worst), "Which columns are to blame.")
    walks = _walks(autoencoder, X, contents["latents"])
    if walks is not None:
        drawn["traversals"] = walks, "Images decoded along each of the latents that move most."
    return {name: _picture(figure, alt) for name, (figure, alt) in drawn.items()}


def _walks(model: BaseAutoencoder, X: Any, latents: dict[str, Any] | None) -> Figure | None:
    """Draw the decoded images along the latents with the largest effect."""
    if latents is None or len(model.preprocessor_.layout.shape) == 1:
        return None
    alive = [card["latent"] for card in latents["cards"] if card["status"] == "alive"][:_N_WALKED]
    walked = {f"latent {j}": np.asarray(traverse(model, X, j, _N_STEPS)) for j in alive}
    return plot_stacks(walked, None, "Along the latents that move most") if walked else None


def _colors(data: Any, color: Any) -> tuple[np.ndarray | None, str | None]:
    if color is None:
        return None, None
    if isinstance(color, str):
        names = [] if isinstance(data, np.ndarray) else text_names(data.columns)
        if color not in names:
            raise DataError(f"There is no column {color!r:.40} to colour the map by.")
        column = data.get_column(data.columns[names.index(color)])
        return as_labels(column.to_native()), color
    values = as_labels(color)
    if values.shape != (len(data),):
        raise DataError(
            f"color must have a value for each of {len(data)} rows, got {values.shape}."
        )
    return values, None


def _picture(figure: Figure, alt: str) -> Picture:
    """Return a figure as SVG for light and dark pages, with rasterised scatter plots."""
    import matplotlib as mpl

    for ax in figure.axes:
        ax.patch.set_alpha(0)
        for collection in ax.collections:
            collection.set_rasterized(True)
    file = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "latently", "svg.fonttype": "path"}):
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    light = file.getvalue()
    # Black elements have no fill attribute, so that they inherit this one.
    dark = light.replace("<svg ", f'<svg fill="{_ON_DARK["#000000"]}" ', 1)
    for ink, other in _ON_DARK.items():
        dark = dark.replace(ink.lower(), other).replace(ink.upper(), other)
    width, height = (round(96 * inches) for inches in figure.get_size_inches())
    return Picture(_url(light), _url(dark), alt, width, height)


def _url(svg: str) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()
