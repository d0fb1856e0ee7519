"""The structure of JPEG, AVIF and HEIF files, as far as pixels are not concerned."""
