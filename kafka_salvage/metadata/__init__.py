"""Reads Kafka's own topics: groups, transaction state, cluster."""
