"""The executors that are built in; each passes the suite of the port."""
