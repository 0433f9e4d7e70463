"""``python -m latently``."""

from latently.cli import main

if __name__ == "__main__":
    main()
