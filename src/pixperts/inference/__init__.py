"""Trained models applied to pictures of any size, on any device."""
