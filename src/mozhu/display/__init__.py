"""What runs look like to a person, on a terminal, in a log and in a notebook."""
