"""What is measured of a run, and across runs."""
