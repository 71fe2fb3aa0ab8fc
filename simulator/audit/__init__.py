"""What other parameters would have meant: every cell of a grid of them, on the same price paths."""
