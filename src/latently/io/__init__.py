"""Files into tables, arrays and stacks of images, and back.

``read`` and ``write`` choose by the file name; every refusal is a ``DataError`` that names
the file, the place and what to do, and every output is written whole or not at all.
"""

from latently.io._arrays import read_npy, read_npz
from latently.io._atomic import atomic_path, check_output, standard_output
from latently.io._bytes import DEFAULT_MAX_BYTES, is_folder, standard_input
from latently.io._cells_out import header_line, in_notation, row_lines
from latently.io._csv import read_csv, stream_csv, stream_with
from latently.io._dataset import Piece, RowPicker, TableDataset, as_dataset
from latently.io._files import Data, write
from latently.io._formats import FORMATS, Format, find_format
from latently.io._gap_words import DEFAULT_MISSING, mark_table
from latently.io._image_write import write_images
from latently.io._images import ImageFolder, read_images
from latently.io._ipc import from_ipc, to_ipc
from latently.io._model_file import read_model, write_model
from latently.io._prefetch import prefetched
from latently.io._progress import progress_bar, watched
from latently.io._read import holds_tables, read, read_with
from latently.io._resources import (
    check_disk,
    check_memory,
    is_out_of_memory,
    memory_errors_named,
)
from latently.io._say import show
from latently.io._stream import write_pieces
from latently.io._tables import read_arrow, read_parquet
from latently.io._text_options import TextOptions, is_text_name, text_name, verbatim_field

__all__ = [
    "read",
    "write",
    "read_csv",
    "stream_csv",
    "TableDataset",
    "as_dataset",
    "Piece",
    "RowPicker",
    "from_ipc",
    "to_ipc",
    "prefetched",
    "progress_bar",
    "watched",
    "holds_tables",
    "is_folder",
    "check_disk",
    "check_memory",
    "is_out_of_memory",
    "memory_errors_named",
    "write_pieces",
    "TextOptions",
    "text_name",
    "is_text_name",
    "read_with",
    "mark_table",
    "stream_with",
    "verbatim_field",
    "header_line",
    "in_notation",
    "row_lines",
    "read_parquet",
    "read_arrow",
    "read_npy",
    "read_npz",
    "read_images",
    "write_images",
    "ImageFolder",
    "Data",
    "read_model",
    "write_model",
    "atomic_path",
    "check_output",
    "standard_input",
    "standard_output",
    "find_format",
    "Format",
    "FORMATS",
    "show",
    "DEFAULT_MISSING",
    "DEFAULT_MAX_BYTES",
]
