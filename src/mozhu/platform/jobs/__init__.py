"""Work that runs apart from the service: run folders, carried out by executors."""
