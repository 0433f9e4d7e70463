"""Delimited text: options, header, notation and types of columns, reading and writing.

Modules here import each other, ``schema`` and the base modules of ``io``. They import no other
folder of ``io``. Code that reads or writes the cells of a text file belongs here.
"""
