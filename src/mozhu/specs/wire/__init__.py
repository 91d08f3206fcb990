"""What travels between the service and its clients, as typed dictionaries: one definition for both ends."""
