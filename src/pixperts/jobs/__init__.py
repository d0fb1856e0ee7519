"""Runs over files and folders: what is planned, done to each picture and reported."""
