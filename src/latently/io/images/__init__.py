"""Image files and folders of them: headers, pixels, and writing in the mode of the source.

Modules here import each other and the base modules of ``io``. They import no other folder of
``io``. Pillow is imported here only.
"""
