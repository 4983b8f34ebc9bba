"""Bytes in, bytes out, output bounded; a missing library is a typed absence."""
