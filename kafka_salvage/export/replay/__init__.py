"""Replay: recovered records sent to a cluster, exactly once; the only folder that knows confluent_kafka."""
