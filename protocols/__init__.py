"""What each protocol does: a reader that pulls its state through `chain`, and rules in its own mathematics."""
