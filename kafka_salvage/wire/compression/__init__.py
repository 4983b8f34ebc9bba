"""Codecs of record payloads: bytes in, bytes out, output bounded."""
