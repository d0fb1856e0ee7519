"""The encoders of networks that enlarge: a picture becomes features."""
