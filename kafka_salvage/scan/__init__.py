"""Finds batches and records: walk, resync, decode. Facts only, no verdicts."""
