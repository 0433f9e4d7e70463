"""The documentation site: ``make docs`` builds it, without network and without a warning."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

import latently  # noqa: E402 - after the path

project = "latently"
author = "The latently developers"
copyright = f"2026, {author}"
release = version = latently.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "commands",
    "summaries",
]
exclude_patterns = [
    "_ext",
    "_templates",
    "generated/commands.md",
    "gallery/*.ipynb",
    "gallery/*.py",
    "gallery/*.zip",
]
templates_path = ["_templates"]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4

autosummary_generate = True
autodoc_typehints = "none"
autodoc_member_order = "groupwise"
toc_object_entries_show_parents = "hide"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

sphinx_gallery_conf = {
    "examples_dirs": [str(HERE.parent / "examples")],
    "gallery_dirs": ["gallery"],
    "filename_pattern": r"\.py$",
    "image_scrapers": ("figures.scrape",),
    "reset_modules": ("matplotlib",),
    "capture_repr": (),
    "remove_config_comments": True,
    "show_memory": False,
    "min_reported_time": 10_000,
    "show_signature": False,
    "doc_module": ("latently",),
    "backreferences_dir": "generated/backreferences",
    "inspect_global_variables": False,
    "abort_on_example_error": True,
    "download_all_examples": False,
    "write_computation_times": False,
    "within_subsection_order": "FileNameSortKey",
}

html_theme = "pydata_sphinx_theme"
html_title = "latently"
html_static_path = ["_static"]
html_css_files = ["latently.css"]
html_logo = "_static/logo.svg"
html_favicon = "_static/favicon.svg"
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "logo": {"text": "latently"},
    "github_url": "https://github.com/latently/latently",
    "navbar_align": "left",
    "navbar_end": ["theme-switcher", "navbar-icon-links"],
    "header_links_before_dropdown": 6,
    "show_toc_level": 2,
    "show_nav_level": 2,
    "navigation_with_keys": False,
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": {
        "**": ["page-toc"],
        "index": [],
    },
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
html_sidebars = {"index": []}
html_context = {"default_mode": "auto"}

#: Pages link to files beside ``docs/``, which are no part of the site.
_FILES = "https://github.com/latently/latently/blob/main/"


def _link_to_files(app: Any, name: str, source: list[str]) -> None:
    """Let links out of ``docs/`` lead to the files of the repository."""
    folder = (HERE / name).parent
    outward = Path(*[".."] * len(folder.relative_to(HERE.parent).parts)).as_posix()
    source[0] = source[0].replace(f"]({outward}/", f"]({_FILES}")


def setup(app: Any) -> None:
    """Connect the hook above."""
    app.connect("source-read", _link_to_files)
