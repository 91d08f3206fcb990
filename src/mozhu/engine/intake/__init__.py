"""What strangers hand in: looked at byte by byte, unpacked and turned into safetensors, never unpickled here."""
