"""MoCE-IR, the network that repairs."""
