"""What kinds of claims are read, and what they were held to."""

from protocols.catalogue import LOCAL_CHAIN, Entry

_LIMITS = (
    "of the tokens that lending markets list, and of what these are claims on in turn",
    "a token of no known kind is a claim on nothing",
    "rates and backing as they stand at the block, of Compound's claims as of the last accrual",
)
_LEAVES = (
    "what is minted, bridged or kept off the chain is a leaf: the collateral behind it is not read, and a note says so "
    "of what is minted; GHO is a claim on the pool that mints it, as far as an Aave v3 pool of the snapshot does"
)
CATALOGUE = (
    Entry(
        "Claims: Aave v3's aTokens and static aTokens, ERC-4626 shares, Uniswap v2 liquidity",
        "2026-03",
        LOCAL_CHAIN,
        "test_claims_on_a_chain",
        limits=_LIMITS,
    ),
    Entry("Claims: Aave v2's aTokens", "2026-03", LOCAL_CHAIN, "test_aave_v2_reader", limits=_LIMITS),
    Entry("Claims: Venus' vTokens", "2026-03", LOCAL_CHAIN, "test_venus_core_reader", limits=_LIMITS),
    Entry(
        "Claims: cTokens, Comet, Euler Earn, stETH and wstETH, rETH, cbETH and wbETH, eETH and weETH, rsETH, Curve "
        "and Balancer v2 liquidity, Pendle's principal tokens",
        "2026-03",
        limits=("written from their sources; compared by hand only", *_LIMITS),
    ),
    Entry(
        "Claims: DAI, USDS, LUSD, BOLD, crvUSD, GHO; USDC, USDT, PYUSD, USDe, WBTC, cbBTC; bridged tokens",
        "2026-03",
        limits=(
            _LEAVES,
            "known by address on Ethereum and a few more chains, bridged ones by their functions",
            "not read: other restaked ether, bridges that mint without naming the token that they stand for; what "
            "bridges hold of Ethereum's tokens for claims elsewhere is read of those of Arbitrum, Base, OP and Polygon",
        ),
    ),
)
