"""Topics: those of Kafka's own that say something about others."""

from __future__ import annotations

CLUSTER = "__cluster_metadata"
TRANSACTIONS = "__transaction_state"
