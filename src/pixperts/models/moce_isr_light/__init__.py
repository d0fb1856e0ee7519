"""moce-ir-light and a head that enlarges: one network for any fault and any size."""
