"""The planted row faults, file by file: what stands in the faulty file, what in its clean twin, what is found."""
