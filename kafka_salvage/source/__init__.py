"""Fetches bytes; knows no Kafka."""
