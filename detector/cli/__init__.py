"""The commands of `python -m detector`: for each, its options and what it runs."""
