"""MoCE-IR for ordinary processors: plain convolutions, experts that can be left out whole."""
