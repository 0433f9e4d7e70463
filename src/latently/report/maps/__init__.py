"""Maps of codes, and planes of decoded rows and images.

Comes in: a picture whose axes are components of a code.
"""
