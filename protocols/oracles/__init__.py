"""Where a market's price comes from: one module a kind of price source, with its rule and how it is recognised."""
