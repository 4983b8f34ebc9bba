"""Accounts for every byte and every offset: the dry-run document."""
