"""HTTP: the platform's services as REST, for the console, the command line and other programs."""
