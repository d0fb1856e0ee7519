"""Synthetic degradations of clean photos."""
