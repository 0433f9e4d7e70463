"""Plots of models and their results. Every function returns a matplotlib ``Figure``."""

from latently.report._anomalies import plot_anomalies
from latently.report._drift import plot_drift
from latently.report._explanation import plot_explanation
from latently.report._fills import plot_fills
from latently.report._history import plot_history
from latently.report._images import plot_images
from latently.report._page import Report, make_report
from latently.report._reconstructions import plot_reconstructions
from latently.report._tuning import plot_components, plot_learning_curve, plot_search
from latently.report.demo._demo import run_demo
from latently.report.demo._text import render_demo
from latently.report.maps._map import plot_map
from latently.report.maps._plane import plot_plane

__all__ = [
    "plot_reconstructions",
    "plot_map",
    "plot_components",
    "plot_learning_curve",
    "plot_search",
    "plot_plane",
    "Report",
    "make_report",
    "plot_anomalies",
    "plot_drift",
    "plot_explanation",
    "plot_fills",
    "plot_images",
    "plot_history",
    "run_demo",
    "render_demo",
]
