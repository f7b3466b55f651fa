"""``python -m gantune``."""

from gantune.cli import main

if __name__ == "__main__":
    main()
