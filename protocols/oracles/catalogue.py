"""What kinds of price sources are modelled, and what they were held to."""

from protocols.catalogue import RECORDED, Entry

_LIMITS = (
    "a contract of no known kind is taken for a feed that follows the market, and says so in unwind oracles",
    "what a kind's rule does not reproduce at the block is not believed to be of that kind",
    "deviation and heartbeat stand in no contract: those of a few feeds on Ethereum are known, else the scenario's",
    "exchange rates stay as they were at the block but for faults",
)
CATALOGUE = (
    Entry(
        "Price sources: Chainlink, Aave's caps, PT discount and fixed prices, products and quotients, Morpho's oracle, "
        "Maker's OSM, crvUSD's average",
        "2026-03",
        RECORDED,
        "test_oracle_reader",
        ("oracles",),
        _LIMITS,
    ),
    Entry(
        "Price sources: Uniswap TWAP, crvUSD's limiter, Compound's product",
        "2026-03",
        limits=("written from their sources; compared by hand only", *_LIMITS),
    ),
)
