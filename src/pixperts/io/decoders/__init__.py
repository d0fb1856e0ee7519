"""Formats that libvips does not read here, by libraries that are installed as extras."""
