"""Reading and writing of tables, arrays and stacks of images.

``read`` and ``write`` choose the format by the file name. The folders hold ``text``, ``images``,
typed ``tables`` and the ``dataset`` of many files. Modules here import ``schema`` and all below it,
never torch. Helpers of reading and writing are imported from their modules.
"""

from latently.io._files import write
from latently.io._read import read
from latently.io.dataset._dataset import Piece, TableDataset
from latently.io.images._folder import ImageFolder, read_images
from latently.io.images._writing import write_images
from latently.io.tables._arrow import read_arrow, read_parquet
from latently.io.tables._numpy import read_npy, read_npz
from latently.io.text._csv import read_csv, stream_csv
from latently.io.text._gap_words import DEFAULT_MISSING
from latently.io.text._options import TextOptions, text_name

__all__ = [
    "read",
    "write",
    "read_csv",
    "stream_csv",
    "TextOptions",
    "TableDataset",
    "Piece",
    "read_parquet",
    "read_arrow",
    "read_npy",
    "read_npz",
    "read_images",
    "write_images",
    "ImageFolder",
    "text_name",
    "DEFAULT_MISSING",
]
