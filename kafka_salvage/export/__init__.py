"""Carries out a plan: one sink per destination."""
