"""Two moeisr-light networks, of which a judge picks one for each picture."""
