"""Forensic recovery of Kafka log segments."""

__version__ = "0.1.0"
