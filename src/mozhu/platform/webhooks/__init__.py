"""Events sent to other programs: signed, tried again, with their history."""
