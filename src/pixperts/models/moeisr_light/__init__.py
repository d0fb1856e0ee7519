"""MoEISR for ordinary processors: experts at LR resolution under a field that is linear in them."""
