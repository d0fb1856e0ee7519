"""MoEISR, the network that enlarges."""
