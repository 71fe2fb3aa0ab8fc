"""Questions to a book as it stands, under one price vector or many."""
