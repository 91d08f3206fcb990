"""What a data set looks like: lengths, turns, labels, languages, duplicates, examples of its rows."""
