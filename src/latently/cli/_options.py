"""Arguments and options that several commands share."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

_FORMATS = "csv, tsv, parquet, arrow, feather, npy, npz or images"

Model = Annotated[str, typer.Argument(metavar="MODEL", help="Model file that `fit` wrote.")]
Data = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="Table, array, folder of images; folder or pattern of tables; - is stdin.",
    ),
]
Output = Annotated[
    str,
    typer.Option("--output", "-o", metavar="OUT", help="File or folder to write; - is stdout."),
]
Ids = Annotated[
    list[str] | None,
    typer.Option("--id", metavar="COL", help="Column to carry along unchanged; repeatable."),
]
Missing = Annotated[
    list[str] | None,
    typer.Option(
        "--missing",
        metavar="WORD",
        help="Word of DATA that stands for a gap, besides NA and the like; repeatable. "
        "The model keeps it.",
    ),
]
Decimal = Annotated[
    str | None,
    typer.Option(
        "--decimal",
        metavar="SIGN",
        help="Decimal sign of a text file, a dot or a comma, where its cells leave it open.",
    ),
]
Dates = Annotated[
    str | None,
    typer.Option(
        "--dates",
        metavar="ORDER",
        help="Dates of a text file, where its cells leave it open: day-first, month-first or "
        "year-first.",
    ),
]
InputFormat = Annotated[
    str | None,
    typer.Option(
        "--format", metavar="NAME", help=f"Of DATA, if its name does not echo: {_FORMATS}."
    ),
]
OutputFormat = Annotated[
    str | None,
    typer.Option("--output-format", metavar="NAME", help="Of OUT, if its name does not say."),
]
Key = Annotated[
    str | None, typer.Option("--key", metavar="NAME", help="Which array of an .npz file.")
]
SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Pass over images that cannot be read.")]
Images = Annotated[
    bool,
    typer.Option("--images", help="Take an array of 3 or 4 axes for images, whatever its values."),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an output that exists.")]
Plot = Annotated[
    str | None,
    typer.Option("--plot", metavar="PICTURE", help="Draw one too: a .png, .pdf or .svg file."),
]
Effort = Annotated[
    str | None,
    typer.Option(
        metavar="HOW",
        help="How hard to try: fast (a quarter of the work), balanced, thorough (four times).",
    ),
]
MaxCategories = Annotated[
    int | None,
    typer.Option(
        metavar="N", min=1, help="Most categories kept of a column of texts; default 100."
    ),
]
Groups = Annotated[
    str | None,
    typer.Option(
        "--group-by",
        metavar="COL",
        help="Column of groups, such as a patient: held out whole, and not learnt from.",
    ),
]
NoShuffle = Annotated[
    bool, typer.Option("--no-shuffle", help="Hold out the last rows: they are in time's order.")
]


class SupportName(StrEnum):
    """Values that answers are moved onto."""

    column = "column"
    free = "free"


Support = Annotated[
    SupportName,
    typer.Option(
        "--support",
        help="Answer with values that each column can hold, or with free expected values.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Write figures as JSON to stdout.")]
