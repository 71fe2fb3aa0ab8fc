"""How an audit lies on disk."""

from __future__ import annotations

from chain.tables import Column, Schema

CELL = Column("cell", "int64", "number of the combination of values; 0 has the snapshot's own")
RESPONSE = Column("response", "text", "rule by which borrowers answer")

CELLS = Schema.of(
    "cells",
    [CELL, Column("parameter", "text", "key, such as aave-v3/WETH.liquidation_threshold")],
    Column("value", "float64", "in the cell; infinite for no limit"),
    Column("own", "float64", "in the snapshot"),
)
OUTCOMES = Schema.of(
    "outcomes",
    [CELL, RESPONSE],
    Column("collateral_usd", "float64", "what counts as collateral, all markets, at the snapshot's oracle prices"),
    Column("capacity_usd", "float64", "debt that may at most be taken over it: collateral times maximum LTV"),
    Column("debt_usd", "float64", "debt outstanding"),
    Column("utilisation", "float64", "debt over collateral"),
    Column("at_once_accounts", "int64", "accounts that the change itself makes liquidatable, healthy in the snapshot"),
    Column("at_once_collateral_usd", "float64", "their collateral"),
    Column("at_once_debt_usd", "float64", "their debt"),
    Column("loss_usd", "float64", "the statistic of bad debt by which cells are compared, of all markets together"),
    Column("loss_low_usd", "float64", "lower end of its 95 % interval"),
    Column("loss_high_usd", "float64", "upper end"),
    Column("frontier", "bool", "no other cell of the response has as much capacity for less loss, or more for as much"),
    Column("keeps_budget", "bool", "the loss is within the budget; false without one"),
    Column("keeps_budget_surely", "bool", "the upper end of its interval is"),
    Column("laxest", "bool", "keeps the budget, and no laxer cell of this response does"),
)
STATISTICS = Schema.of(
    "statistics",
    [
        CELL,
        RESPONSE,
        Column("output", "text", "what is measured of what, such as liquidated volume: aave-v3"),
        Column("name", "text", "of the statistic"),
        Column("level", "float64", "such as 0.99; no number for those without one"),
    ],
    Column("measure", "text", "bad debt, liquidated volume or liquidators' profit"),
    Column("by", "text", "all, market, or a reserve as debt or as collateral"),
    Column("of", "text", "the market, or market/token"),
    Column("value", "float64", "US dollars; of a probability a share"),
    Column("low", "float64", "lower end of its 95 % interval"),
    Column("high", "float64", "upper end"),
    Column("standard_error", "float64", "no number where the interval is not made from one"),
    Column("enough", "bool", "the sample is large enough for the interval"),
    Column("difference", "float64", "from the baseline under the same response; no number where none is estimated"),
    Column("difference_low", "float64", "lower end of its 95 % interval, from the differences path by path"),
    Column("difference_high", "float64", "upper end"),
    Column("difference_error", "float64", "its standard error"),
    Column("difference_enough", "bool", "enough paths differ for its interval"),
)
HEADROOM = Schema.of(
    "headroom",
    [CELL, RESPONSE, Column("market", "text", "name"), Column("token", "text", "address; only reserves with a cap")],
    Column("supply_cap", "float64", "whole tokens; infinite for none"),
    Column("supplied", "float64", "whole tokens, by everybody, after the response"),
    Column("supply_room_usd", "float64", "what may still be supplied, at the outside price; negative above the cap"),
    Column("borrow_cap", "float64", "whole tokens; infinite for none"),
    Column("borrowed", "float64", "whole tokens, by everybody, after the response"),
    Column("borrow_room_usd", "float64", "what may still be borrowed under the cap, whatever cash there is"),
)
WARNINGS = Schema.of(
    "warnings",
    [CELL, Column("market", "text", "name"), Column("token", "text", "address"), Column("warning", "text", "")],
)
SCHEMAS = (CELLS, OUTCOMES, STATISTICS, HEADROOM, WARNINGS)
