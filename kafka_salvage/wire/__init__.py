"""Says what bytes mean: layouts and codecs, no I/O."""
