"""Pictures and reports: figures first, then their rendering."""

__all__ = []
