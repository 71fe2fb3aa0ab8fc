"""How a market's losses reach others in a run: through its cushions, along claims, and by the suppliers who leave."""
