"""Pictures in files: formats, metadata and color profiles, read and written."""
