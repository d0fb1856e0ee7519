"""Photos and pairs to train and measure on: read from folders, packs and published sets."""
