"""Formats that other libraries than libvips write, each installed as an extra."""
