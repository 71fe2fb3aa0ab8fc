"""What a token is a claim on is found out from its contract: each kind by its functions, down to what no claim is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.calls import Call, encode
from chain.errors import InputError
from chain.node import Node
from chain.snapshot import CLAIMS, TOKENS, Market
from chain.tables import Schema, Table
from protocols.reading import Rows
from protocols.tokens.allocations import NOWHERE, allocations
from protocols.tokens.kind import proportional
from protocols.tokens.liquidity import balancer_share, fee_liquidity
from protocols.tokens.losses import CONVERSIONS, Terms, load, rate_after_loss
from protocols.tokens.metamorpho.tables import ALLOCATIONS, VAULTS
from protocols.tokens.pendle import principal_worth
from protocols.tokens.reader import DEPTH, unread, walk_claims
from protocols.tokens.shares import assets_down
from protocols.tokens.vault_v2 import tables as vault_v2
from protocols.walking import walked
from tests.chain.jsonrpc_server import Contract, FakeChain, JsonRpcServer
from tests.protocols.made_up_contracts import BLOCK, NOBODY, contract
from tests.simulator.graph.toys import Claim, Coin, Toy, snapshot_of

UNIT = 10**18
A, B, C, D, E, NATIVE = ("0x" + f"{n:02x}" * 20 for n in (0xA1, 0xB2, 0xC3, 0xD4, 0xE5, 0xEF))
CBETH = "0xbe9895146f7af43049ca1c1ae358b0541ea49704"
USDC = "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48"
Answers = Mapping[str, Any]


def token(decimals: int = 18, supply: int = 10**24, symbol: str = "T", **answers: Any) -> dict[str, Any]:
    """A token's contract: other functions by name, of which ints are numbers and texts addresses."""
    named = {f"{n}()({'address' if isinstance(v, str) else 'uint256'})": v for n, v in answers.items()}
    own = {"decimals()(uint8)": decimals, "totalSupply()(uint256)": supply, "symbol()(string)": symbol}
    return own | named


def by_number(answers: Answers, lists: Mapping[str, Sequence[Any]]) -> Contract:
    """A contract that also answers functions of a number, by their signatures, with what is in that place."""
    rest = contract(answers)
    told = {
        encode(Call("", signature, (n,))): contract({signature: value})
        for signature, values in lists.items()
        for n, value in enumerate(values)
    }
    return lambda data, sent: told.get(data, rest)(data, sent)


def walk(
    contracts: Mapping[str, Answers | Contract],
    tokens: Mapping[str, str],
    markets: Sequence[Market] = (),
    chain_id: int = 1,
) -> dict[Schema, Rows]:
    """The rows of a walk over some contracts."""
    chain = FakeChain(contracts={a: c if callable(c) else contract(c) for a, c in contracts.items()})
    with JsonRpcServer(chain) as server, Node(server.url, cache_dir=None) as node:
        return walked(node, node.pin(BLOCK), walk_claims(chain_id, tokens, markets, NATIVE))


def claims(rows: dict[Schema, Rows]) -> list[tuple[Any, ...]]:
    """Of each claim: token, underlying, kind, issuer, amount, supply, backing."""
    names = ("token", "underlying", "kind", "issuer", "amount_raw", "supply_raw", "backing_raw")
    return [tuple(row[name] for name in names) for row in rows[CLAIMS]]


# --- kinds --------------------------------------------------------------------------------------------------------

HOLDS = "balanceOf(address)(uint256)"
KINDS: dict[str, tuple[dict[str, Any], dict[str, dict[str, Any]], list[tuple[Any, ...]], str]] = {
    "an aToken": (
        token(6, 900, UNDERLYING_ASSET_ADDRESS=B, POOL=D, RESERVE_TREASURY_ADDRESS=E, scaledTotalSupply=800),
        {B: token(6), D: {"getReserveDeficit(address)(uint256)": 70}},
        [(B, "aave", "lender", 10**6, 900, 830)],
        "at withdrawal",
    ),
    "an aToken of a pool that counts no deficits": (
        token(6, 900, UNDERLYING_ASSET_ADDRESS=B, POOL=D, RESERVE_TREASURY_ADDRESS=E, scaledTotalSupply=800),
        {B: token(6), D: {}},
        [(B, "aave", "lender", 10**6, 900, 900)],
        "at withdrawal",
    ),
    "a cToken": (
        token(8, 5_000, exchangeRateStored=203 * 10**24, comptroller=D, getCash=70, totalBorrows=50, totalReserves=9)
        | {"underlying()(address)": B},
        {B: token(18)},
        [(B, "compound_v2", "lender", 203 * 10**14, 5_000, 111)],
        "at withdrawal",
    ),
    "the cToken of the chain's own currency": (
        token(8, 5_000, exchangeRateStored=2 * 10**26, comptroller=D, getCash=70, totalBorrows=50, totalReserves=9),
        {NATIVE: token()},
        [(NATIVE, "compound_v2", "lender", 2 * 10**16, 5_000, 111)],
        "at withdrawal",
    ),
    "a Comet that has less than it owes": (
        token(6, 1_000, baseToken=B, totalBorrow=600),
        {B: token(6) | {HOLDS: 300}},
        [(B, "compound_v3", A, 10**6, 1_000, 900)],
        "at withdrawal",
    ),
    "a vault": (
        token(18, 7_000, asset=B, totalAssets=8_000) | {"convertToAssets(uint256)(uint256)": 1_140_000},
        {B: token(6)},
        [(B, "erc4626", A, 1_140_000, 7_000, 8_000)],
        "at once",
    ),
    "a vault of Euler Earn": (
        token(18, 7_000, asset=B, totalAssets=8_000, lostAssets=5, withdrawQueueLength=3)
        | {"convertToAssets(uint256)(uint256)": 1_140_000},
        {B: token(6)},
        [(B, "euler_earn", A, 1_140_000, 7_000, 8_000)],
        "at withdrawal",
    ),
    "wstETH": (
        token(18, 7_000, stETH=B, stEthPerToken=12 * 10**17),
        {B: token(supply=9_000, getTotalPooledEther=9_000, getTotalShares=8_000) | {HOLDS: 8_400}, NATIVE: token()},
        [(B, "lido", A, 12 * 10**17, 7_000, 8_400)],
        "at once",
    ),
    "stETH": (
        token(18, 9_000, getTotalPooledEther=9_000, getTotalShares=8_000),
        {NATIVE: token()},
        [(NATIVE, "lido", A, UNIT, 9_000, 9_000)],
        "at once",
    ),
    "weETH": (
        token(18, 7_000, eETH=B, getRate=107 * 10**16),
        {B: token(18, 9_000) | {HOLDS: 7_490}},
        [(B, "etherfi", A, 107 * 10**16, 7_000, 7_490)],
        "at once",
    ),
    "eETH": (
        token(18, 9_000, liquidityPool=B, totalShares=8_000),
        {B: {"getTotalPooledEther()(uint256)": 9_100}, NATIVE: token()},
        [(NATIVE, "etherfi", A, UNIT, 9_000, 9_100)],
        "at once",
    ),
    "rETH": (
        token(18, 7_000, getExchangeRate=113 * 10**16, getTotalCollateral=50)
        | {"getEthValue(uint256)(uint256)": 7_910},
        {NATIVE: token()},
        [(NATIVE, "rocket_pool", A, 113 * 10**16, 7_000, 7_910)],
        "at once",
    ),
    "rsETH": (
        token(18, 7_000, lrtConfig=B),
        {
            B: {"getContract(bytes32)(address)": C},
            C: {"rsETHPrice()(uint256)": 106 * 10**16},
            NATIVE: token(),
        },
        [(NATIVE, "kelp", A, 106 * 10**16, 7_000, 7_420)],
        "at once",
    ),
    "a pair": (
        token(18, 4 * UNIT, token0=B, token1=C, factory=D, kLast=0),
        {B: token(6) | {HOLDS: 8_000_001}, C: token(8) | {HOLDS: 30_000_003}, D: {"feeTo()(address)": NOBODY}},
        [(B, "uniswap_v2", A, 2_000_000, 4 * UNIT, 8_000_001), (C, "uniswap_v2", A, 7_500_000, 4 * UNIT, 30_000_003)],
        "at once",
    ),
    "a weighted pool": (
        token(18, 3 * UNIT, getVault=D) | {"getPoolId()(bytes32)": b"\7" * 32},
        {
            B: token(6),
            C: token(18),
            D: {"getPoolTokens(bytes32)(address[],uint256[],uint256)": ([B, C], [9_000_000, 30 * UNIT], 5)},
        },
        [
            (B, "balancer_v2", A, 2_999_999, 3 * UNIT, 9_000_000),
            (C, "balancer_v2", A, 9_999_999_999_999_999_990, 3 * UNIT, 30 * UNIT),
        ],
        "at once",
    ),
    "a composable pool, which holds its own token": (
        token(18, 10**30, getVault=D, getActualSupply=2 * UNIT) | {"getPoolId()(bytes32)": b"\7" * 32},
        {
            B: token(6),
            C: token(18),
            D: {"getPoolTokens(bytes32)(address[],uint256[],uint256)": ([A, B, C], [10**30, 8_000_000, 3 * UNIT], 5)},
        },
        [
            (B, "balancer_v2", A, 4_000_000, 2 * UNIT, 8_000_000),
            (C, "balancer_v2", A, 3 * UNIT // 2, 2 * UNIT, 3 * UNIT),
        ],
        "at once",
    ),
    "a principal token whose SY is worth less than it was": (
        token(18, 1_000, SY=B, YT=C, expiry=1_800_000_000),
        {
            B: {"assetInfo()(uint8,address,uint8)": (0, D, 18), "exchangeRate()(uint256)": 11 * 10**17},
            C: {"pyIndexStored()(uint256)": 12 * 10**17},
            D: token(),
        },
        [(D, "pendle", C, 916_666_666_666_666_666, 1_000, 916)],
        "at once",
    ),
    "GHO, of which a pool has minted some": (
        token(18, 900)
        | {"getFacilitatorsList()(address[])": [E, B]}
        | {"getFacilitatorBucket(address)(uint256,uint256)": (5_000, 350)},
        {E: {"POOL()(address)": D}, B: {}},
        [("", "minted", "lender", 0, 350, 0)],
        "at withdrawal",
    ),
    "a bridged token": (
        token(18, 900, bridge=B, remoteToken=C),
        {},
        [("", "bridged", B, 0, 900, 0)],
        "at withdrawal",
    ),
}


@pytest.mark.parametrize("what", KINDS)
def test_a_token_is_recognised_and_worth_what_its_contract_gives(what: str) -> None:
    own, others, expected, when = KINDS[what]
    symbols = {address: address for address in (A, B, C, D, NATIVE) if address in {A, *others}}
    rows = walk({A: own, **others}, symbols, [Market("lender", "any", "1", {"pool": D})])
    assert [row[1:] for row in claims(rows) if row[0] == A] == expected
    assert {row["losses"] for row in rows[CLAIMS] if row["token"] == A} == {when}


@pytest.mark.parametrize("what", KINDS)
def test_a_principal_token_is_due_at_its_maturity_and_any_other_claim_at_any_time(what: str) -> None:
    own, others, _, _ = KINDS[what]
    rows = walk({A: own, **others}, {address: address for address in (A, *others)})
    due = 1_800_000_000 if "principal" in what else 0
    assert {row["due_at"] for row in rows[CLAIMS] if row["token"] == A} <= {due}


@pytest.mark.parametrize(("own", "pool"), [(token(18, 2 * UNIT, N_COINS=2, get_virtual_price=UNIT), A), (None, C)])
def test_a_share_of_a_curve_pool_is_a_claim_on_each_of_its_coins(own: dict[str, Any] | None, pool: str) -> None:
    # the chain's own currency is called by an address of its own
    currency = "0x" + "ee" * 20
    coins: dict[str, list[Any]] = {
        "coins(uint256)(address)": [currency, B],
        "balances(uint256)(uint256)": [5 * UNIT, 7_000_000],
    }
    contracts: dict[str, Answers | Contract] = {pool: by_number(own or {}, coins), B: token(6), NATIVE: token()}
    if own is None:
        contracts[A] = token(18, 2 * UNIT, minter=C)
    rows = walk(contracts, {A: "LP", B: "B", NATIVE: "W"})
    assert [row for row in claims(rows) if row[0] == A] == [
        (A, NATIVE, "curve", pool, 5 * UNIT // 2, 2 * UNIT, 5 * UNIT),
        (A, B, "curve", pool, 3_500_000, 2 * UNIT, 7_000_000),
    ]


def test_what_is_known_by_address_is_known_on_its_chain_only() -> None:
    contracts = {CBETH: token(18, 2_000, exchangeRate=11 * 10**17), USDC: token(6, 500), NATIVE: token()}
    symbols = {CBETH: "cbETH", USDC: "USDC", NATIVE: "W"}
    assert sorted(claims(walk(contracts, symbols)), reverse=True) == [
        (CBETH, NATIVE, "exchange_staked", CBETH, 11 * 10**17, 2_000, 2_200),
        (USDC, "", "off_chain", USDC, 0, 500, 0),
    ]
    assert claims(walk(contracts, symbols, chain_id=7)) == []


def test_what_is_minted_by_no_pool_of_the_snapshot_is_a_leaf_and_named_in_a_note() -> None:
    dai = "0x6b175474e89094c44da98b954eedeac495271d0f"
    gho = token(18, 900) | {"getFacilitatorsList()(address[])": [E]}
    gho |= {"getFacilitatorBucket(address)(uint256,uint256)": (5_000, 350)}
    contracts = {A: gho, E: {"POOL()(address)": B}, dai: token(), C: vault(dai)}
    symbols = {A: "GHO", dai: "DAI", C: "sDAI"}
    rows = walk(contracts, symbols)
    assert {row[0]: row[3] for row in claims(rows)} == {A: A, dai: dai, C: C}
    (note,) = unread(rows, symbols)
    assert "DAI, GHO" in note
    assert "sDAI" not in note
    minting = [Market("lender", "any", "1", {"pool": B})]
    assert unread(walk({A: gho, E: {"POOL()(address)": B}}, {A: "GHO"}, minting), symbols) == []


def test_a_token_that_only_looks_like_a_claim_is_none() -> None:
    # CRV has a minter, which is no pool; and a vault may have stopped to answer
    contracts = {A: token(minter=B), B: {}, C: token(asset=D, totalAssets=5), D: token()}
    assert claims(walk(contracts, {A: "CRV", C: "V", D: "D"})) == []


# --- claims on claims ---------------------------------------------------------------------------------------------


def vault(asset: str, symbol: str = "V") -> dict[str, Any]:
    """A vault over a token; a share is worth 1.25."""
    worth = {"convertToAssets(uint256)(uint256)": 125 * 10**16}
    return token(18, 8 * UNIT, symbol, asset=asset, totalAssets=10 * UNIT) | worth


def test_a_claim_on_a_claim_is_followed_and_its_tokens_are_named() -> None:
    contracts = {A: vault(B), B: vault(C, "same"), C: vault(D, "same"), D: token(8, symbol="D")}
    rows = walk(contracts, {A: "same", D: "D"})
    assert [row[:2] for row in claims(rows)] == [(A, B), (B, C), (C, D)]
    assert rows[TOKENS] == [
        {"token": B, "symbol": B, "decimals": 18},
        {"token": C, "symbol": C, "decimals": 18},
    ], "symbols that are taken give way to addresses"


def test_claims_in_a_circle_are_each_read_once() -> None:
    rows = walk({A: vault(B), B: vault(A)}, {A: "A"})
    assert [row[:2] for row in claims(rows)] == [(A, B), (B, A)]


def test_what_lies_deeper_than_can_be_followed_is_a_claim_on_nothing() -> None:
    tower = ["0x" + f"{n:02x}" * 20 for n in range(0x10, 0x10 + DEPTH + 3)]
    contracts = {a: vault(b) for a, b in pairwise(tower)} | {tower[-1]: token()}
    rows = walk(contracts, {tower[0]: "top"})
    assert [row[:2] for row in claims(rows)] == list(pairwise(tower[: DEPTH + 1]))
    assert [row["token"] for row in rows[TOKENS]] == tower[1 : DEPTH + 1]


def test_a_claim_on_what_nothing_tells_the_price_of_is_left_out() -> None:
    pair = token(18, 4 * UNIT, token0=B, token1=C, factory=D, kLast=0)
    held = {HOLDS: 10**6}
    contracts = {A: pair, B: token() | held, C: token() | held, D: {}}
    assert (walk(contracts, {A: "LP", B: "B"})[CLAIMS], walk(contracts, {A: "LP"})[TOKENS]) == ([], [])
    known = walk(contracts | {E: vault(C)}, {A: "LP", B: "B", E: "V"})
    assert {row[:2] for row in claims(known)} == {(A, B), (A, C), (E, C)}, "the price of the vault's share tells it"


def test_a_token_that_tells_what_cannot_be_is_a_claim_on_nothing() -> None:
    too_much = token(18, 1, exchangeRateStored=2**255, comptroller=D, getCash=2**255, totalBorrows=2**255)
    too_much |= {"totalReserves()(uint256)": 0, "underlying()(address)": B}
    endless = metamorpho("1.0") | {"withdrawQueueLength()(uint256)": 2**200}
    contracts = {A: too_much, B: token(), C: endless}
    rows = walk(contracts, {A: "A", B: "B", C: "C"})
    assert [(row["token"], row["kind"]) for row in rows[CLAIMS]] == [(C, "erc4626")], "what it is worth it does tell"


def test_a_claim_at_no_rate_tells_no_price() -> None:
    empty = vault(B) | {"convertToAssets(uint256)(uint256)": 0}
    assert walk({A: empty, B: token()}, {A: "A"}) == {CLAIMS: [], TOKENS: []}


def test_a_contract_that_is_no_token_is_owed_by_none() -> None:
    assert walk({A: vault(B), B: {}}, {A: "A"}) == {CLAIMS: [], TOKENS: []}


# --- vaults -------------------------------------------------------------------------------------------------------

IDS = [bytes([n]) * 32 for n in (1, 2, 3)]


def metamorpho(version: str) -> dict[str, Any]:
    own = vault(B) | token(18, 8 * UNIT, MORPHO=D, owner=A, curator=C, guardian=E, timelock=86_400)
    own |= {"supplyQueueLength()(uint256)": 2, "withdrawQueueLength()(uint256)": 2, "fee()(uint96)": 10**17}
    own |= {"lastTotalAssets()(uint256)": 9 * UNIT, "DECIMALS_OFFSET()(uint8)": 0}
    own |= {"config(bytes32)(uint184,bool,uint64)": (70, True, 5), "pendingCap(bytes32)(uint192,uint64)": (90, 6)}
    return own | ({"lostAssets()(uint256)": 11} if version == "1.1" else {})


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_metamorpho_vault_is_read_with_its_queues_caps_and_markets(version: str) -> None:
    queues = {
        "supplyQueue(uint256)(bytes32)": [IDS[2], IDS[0]],
        "withdrawQueue(uint256)(bytes32)": [IDS[0], IDS[1]],
    }
    own = by_number(metamorpho(version), queues)
    morpho = {
        "position(bytes32,address)(uint256,uint128,uint128)": (4_000_000, 0, 0),
        "market(bytes32)(uint128,uint128,uint128,uint128,uint128,uint128)": (90, 60_000_000, 50, 40_000_000, 77, 0),
        "idToMarketParams(bytes32)(address,address,address,address,uint256)": (B, C, D, E, 5),
    }
    market = Market("morpho-blue/01", "morpho_blue", "1.0", {"morpho": D, "id": "0x" + IDS[0].hex()})
    rows = walk({A: own, B: token(), D: morpho}, {A: "V", B: "B"}, [market])
    (row,) = rows[CLAIMS]
    assert (row["kind"], row["amount_raw"]) == ("metamorpho", 125 * 10**16)
    assert row["losses"] == {"1.0": "at once", "1.1": "at withdrawal"}[version]
    (found,) = rows[VAULTS]
    assert (found["version"], found["lost_assets"]) == (version, 11 if version == "1.1" else 0)
    assert (found["timelock_s"], found["fee_wad"], found["virtual_shares"]) == (86_400, 10**17, 1)
    places = [(r["id"], r["supply_place"], r["withdraw_place"], r["market"]) for r in rows[ALLOCATIONS]]
    names = ["0x" + one.hex() for one in IDS]
    assert places == [(names[0], 1, 0, "morpho-blue/01"), (names[1], -1, 1, ""), (names[2], 0, -1, "")]
    for each in rows[ALLOCATIONS]:
        assert (each["cap_raw"], each["enabled"], each["removable_at"]) == (70, True, 5)
        assert (each["pending_cap_raw"], each["pending_at"], each["collateral_token"]) == (90, 6, C)
        assert (each["supply_shares"], each["supplied_raw"]) == (4_000_000, 4_000_000 * 91 // 61_000_000)


def test_a_vault_v2_is_read_with_its_adapters_and_their_caps() -> None:
    figures = {"allocation(bytes32)(uint256)": 50, "absoluteCap(bytes32)(uint256)": 60}
    own = vault(B) | token(18, 8 * UNIT, adapterRegistry=NOBODY, owner=A, curator=C, liquidityAdapter=D) | figures
    own |= {"adaptersLength()(uint256)": 1, "maxRate()(uint64)": 3, "virtualShares()(uint256)": 1}
    own |= {"performanceFee()(uint96)": 4, "managementFee()(uint96)": 5, "relativeCap(bytes32)(uint256)": UNIT}
    own |= {"adapters(uint256)(address)": D, "_totalAssets()(uint128)": 7, "lastUpdate()(uint64)": 8}
    adapter = {"realAssets()(uint256)": 55, "morphoVaultV1()(address)": E}
    rows = walk({A: own, B: token() | {HOLDS: 9}, D: adapter}, {A: "V", B: "B"})
    assert [row["kind"] for row in rows[CLAIMS]] == ["vault_v2"]
    (found,) = rows[vault_v2.VAULTS]
    assert (found["idle_raw"], found["max_rate_wad"], found["liquidity_adapter"]) == (9, 3, D)
    assert (found["performance_fee_wad"], found["management_fee_wad"]) == (4, 5)
    assert (found["total_assets"], found["last_update"]) == (7, 8)
    assert rows[vault_v2.ALLOCATIONS] == [
        {
            "vault": A,
            "adapter": D,
            "claimed_raw": 55,
            "allocated_raw": 50,
            "cap_raw": 60,
            "relative_cap_wad": UNIT,
            "target": E,
        }
    ]


# --- rules --------------------------------------------------------------------------------------------------------

AMOUNTS = st.integers(1, 10**30)


@given(AMOUNTS, AMOUNTS, st.integers(0, 10**31), st.sampled_from([1, 10**12]))
def test_a_loss_lowers_a_rate_as_the_contracts_rule_does_and_nothing_is_below_zero(
    supply: int, backing: int, loss: int, unit: int
) -> None:
    for rule in CONVERSIONS:
        rate = int(rule(UNIT, supply, backing, UNIT // unit))
        terms = Terms("at once", rate, supply, backing, UNIT, unit)
        assert rate_after_loss(terms, 0) == rate
        assert 0 <= rate_after_loss(terms, loss) <= rate
        waits = Terms("at withdrawal", rate, supply, backing, UNIT, unit)
        assert rate_after_loss(waits, loss) == rate


def test_a_rate_of_no_rule_falls_with_what_is_left_behind_each_unit() -> None:
    terms = Terms("at once", 10**18, 10**20, 3 * 10**20, UNIT, UNIT)
    assert rate_after_loss(terms, 10**20) == 10**18 * 2 // 3
    assert rate_after_loss(terms, 10**21) == 0
    # a quarter more units: four fifths of two thirds
    assert rate_after_loss(terms, 10**20, minted_raw=25 * 10**18) == 10**18 * 8 // 15


@given(AMOUNTS, AMOUNTS, st.integers(0, 10**31), st.integers(0, 10**31), st.integers(1, 10**24))
def test_an_oracles_sample_is_converted_as_a_deposit_after_the_loss_would_be(
    supply: int, backing: int, loss: int, minted: int, sample: int
) -> None:
    terms = Terms("at once", assets_down(sample, supply, backing, 10**12), supply, backing, UNIT, 10**6)
    left = max(0, backing - loss)
    after = assets_down(sample, supply + minted, left, 10**12)
    assert rate_after_loss(terms, loss, minted_raw=minted, sample_raw=sample) == after


def test_shares_that_are_due_to_uniswap_are_a_sixth_of_the_growth() -> None:
    # sqrt(k) from 1000 to 1200: a sixth of the growth of 200 is 33.3 of 1200, so 1000 + 28.57 shares for 1000
    assert fee_liquidity(1_000, [1_200, 1_200], 1_000**2) == 1_000 * 200 // (5 * 1_200 + 1_000) == 28
    assert fee_liquidity(1_000, [1_200, 1_200], 0) == fee_liquidity(1_000, [900, 900], 1_000**2) == 0


def test_a_principal_token_is_worth_one_unit_of_the_asset_unless_the_rate_fell() -> None:
    assert principal_worth(UNIT, 2 * UNIT, 2 * UNIT) == UNIT
    assert principal_worth(UNIT, 2 * UNIT, UNIT) == UNIT // 2


def test_balancer_cuts_the_part_of_the_supply_before_it_pays() -> None:
    assert balancer_share(1, 3, 3 * UNIT, 0) == UNIT - 1
    assert proportional(1, 3, 3 * UNIT, 0) == UNIT


# --- out of a snapshot --------------------------------------------------------------------------------------------

SHARE = Toy([Coin("ETH", 2_000.0), Coin("share", 2_500.0, 8)], [Claim("share", "ETH", 1.25, 10.0, "0xvault")])


def test_claims_come_back_from_a_snapshot_with_their_units() -> None:
    ((pair, terms),) = load(snapshot_of(SHARE)).items()
    assert (terms.unit_raw, terms.underlying_unit_raw, terms.amount_raw) == (10**8, 10**18, 125 * 10**16)
    assert pair == (SHARE.coin("share").address, SHARE.coin("ETH").address)
    assert load(replace(snapshot_of(SHARE), tables={})) == {}


def test_a_claim_on_a_token_that_is_not_there_is_bad_input() -> None:
    snapshot = snapshot_of(SHARE)
    without = {"tokens": Table.from_rows(TOKENS, [])}
    with pytest.raises(InputError, match="is not in table tokens"):
        load(replace(snapshot, tables={**snapshot.tables, **without}))


def vaults() -> dict[str, Table]:
    """A MetaMorpho vault in two markets, one of them not in the snapshot, and a Vault v2 with shares of it."""
    blank = {
        schema.name: {column.name: "" if column.kind == "text" else 0 for column in schema.columns}
        for schema in (VAULTS, ALLOCATIONS, vault_v2.VAULTS, vault_v2.ALLOCATIONS)
    }
    of = {"vault": "0xv", "market_supply_assets": 10**9, "market_supply_shares": 10**15, "supply_shares": 4 * 10**14}
    terms = {"cap_raw": 7, "pending_cap_raw": 9, "pending_at": 11, "removable_at": 13, "enabled": True}
    first = of | terms | {"id": "0xa", "market": "hit", "supplied_raw": 4 * 10**8, "supply_place": -1}
    second = of | terms | {"id": "0xb", "market": "", "withdraw_place": 1}
    outer = {"vault": "0xw", "adapter": "0xd", "target": "0xv", "claimed_raw": 10**8, "cap_raw": 10**9}
    share = {"relative_cap_wad": UNIT // 2}
    rows = {
        VAULTS: [{"vault": "0xv", "version": "1.0", "asset": "0xasset", "timelock_s": 3600}],
        ALLOCATIONS: [first, second],
        vault_v2.VAULTS: [{"vault": "0xw", "asset": "0xasset", "liquidity_adapter": "0xd", "total_assets": 10**9}],
        vault_v2.ALLOCATIONS: [outer | share, outer | share | {"adapter": "0xe", "target": "", "claimed_raw": 0}],
    }
    return {s.name: Table.from_rows(s, [blank[s.name] | row for row in found]) for s, found in rows.items()}


def test_where_vaults_have_their_money_stands_with_queue_caps_and_timelock() -> None:
    assert allocations(snapshot_of(SHARE)) == []
    first, second, outer, other = allocations(replace(snapshot_of(SHARE), tables=vaults()))
    assert (first.into, first.place, first.losses, first.timelock_s) == ("hit", "0xa", "at once", 3600)
    assert (first.cap_raw, first.pending_cap_raw, first.pending_at, first.removable_at) == (7, 9, 11, 13)
    assert (first.supply_place, first.withdraw_place, second.withdraw_place) == (NOWHERE, 0, 1)
    assert (outer.into, outer.supplied_raw, outer.cap_raw) == ("0xv", 10**8, 5 * 10**8)
    assert (outer.supply_place, other.supply_place, outer.timelock_s) == (0, NOWHERE, NOWHERE)
    assert second.stake is None
    assert other.holding is None


def test_a_vault_loses_its_part_of_the_bad_debt_of_its_market_and_no_more_than_all() -> None:
    stake = allocations(replace(snapshot_of(SHARE), tables=vaults()))[0].stake
    assert stake is not None
    assert stake.lost(10**8) == 4 * 10**7
    assert stake.lost(10**12) == pytest.approx(4 * 10**8, rel=1e-6)
    assert stake.lost(0) == 0


def test_who_holds_a_vault_loses_its_part_of_the_vaults_loss() -> None:
    holding = allocations(replace(snapshot_of(SHARE), tables=vaults()))[2].holding
    assert holding is not None
    assert holding.lost(4 * 10**7, 4 * 10**8) == 10**7
    assert holding.lost(1, 4 * 10**8) == 1
    assert holding.lost(0, 0) == 0
