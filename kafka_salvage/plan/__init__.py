"""Decides what will be written: replicas, order, transactions."""
