"""Files that would do harm if they were loaded, made as bytes and never loaded, and clean ones of the same kinds."""
