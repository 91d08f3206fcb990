"""Changes that mend rows: each has a name, a subject that it keeps to, and a second time changes nothing."""
