"""Quality and cost, measured on folders of pictures."""
