"""Weights files: written, read, converted, and those that ship inside the package."""
