"""The files the two wings hand each other (records.md), one module per record."""
