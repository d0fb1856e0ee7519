"""What picture files say besides their pixels, block by block."""
