"""What is wrong with rows that can be read: litter, broken characters, private data, repeats, duplicates."""
