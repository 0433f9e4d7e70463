"""Set before anything else is imported."""

import os

# scikit-learn's array API checks are skipped without it.
os.environ.setdefault("SCIPY_ARRAY_API", "1")
# Two threads fighting over tiny matrices are three to ten times slower than one.
os.environ.setdefault("OMP_NUM_THREADS", "1")
