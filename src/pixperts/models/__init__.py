"""The networks: tensors in, `Output(image, routings)` out. No files, no devices, no clamping."""
