"""One run on many machines: parts of the inputs, and the manifests that they leave."""
