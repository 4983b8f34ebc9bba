"""``python -m kafka_salvage``."""

from __future__ import annotations

from kafka_salvage.cli.main import main

if __name__ == "__main__":
    main()
