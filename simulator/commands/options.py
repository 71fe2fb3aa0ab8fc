"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

SnapshotFolder = Annotated[Path, typer.Argument(help="Snapshot folder.")]
RunFolder = Annotated[Path, typer.Argument(help="Run folder.")]
NewSnapshot = Annotated[Path, typer.Option(help="Folder to write the snapshot to; must not be there yet.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
Workers = Annotated[
    int | None,
    typer.Option(help="Threads for scanning the book, processes for the sensitivity; the result is the same with any."),
]
Sensitivity = Annotated[
    bool, typer.Option(help="Also run both ends of what is known of each parameter of price impact.")
]
Model = Annotated[str, typer.Option(help="Of paths: gbm, t, garch, merton or bootstrap.")]
SeriesFile = Annotated[
    Path | None,
    typer.Option("--series", help="Prices that the model is fitted to: CSV or Parquet, time and a column a token."),
]
Horizon = Annotated[str, typer.Option(help="Length of paths, such as 24h.")]
Follow = Annotated[
    list[str] | None, typer.Option(help="wstETH=WETH: a token that moves with a column; TOKEN=USD: not at all.")
]
Peg = Annotated[
    list[str] | None, typer.Option(help="USDC=USD or stETH=WETH: a column modelled by its gap from its peg.")
]
Like = Annotated[
    str | None, typer.Option(help="Scenario whose oracles, liquidators and venues are used instead of defaults.")
]
Haircut = Annotated[
    float | None, typer.Option(min=0, max=1, help="Sell collateral to an outside market at this loss, not in pools.")
]
Frozen = Annotated[bool, typer.Option("--without-liquidations", help="Of paths: bad debt if nobody acts on the way.")]
Seed = Annotated[int, typer.Option(min=0, help="Of the paths.")]
Sampled = Annotated[str, typer.Option("--sampling", help="independent, antithetic, sobol or importance.")]
At = Annotated[str, typer.Option(help="worst: at each path's worst step; end: at its last.")]
Scheduler = Annotated[str | None, typer.Option(help="tcp://HOST:PORT of a Dask scheduler whose workers do the work.")]
Out = Annotated[Path | None, typer.Option(help="Folder to write the run to; must not be there yet.")]
Rpc = typer.Option(
    "--rpc", help="URL of an archive node; shown and kept nowhere.", envvar="UNWIND_RPC_URL", show_envvar=True
)
Cache = Annotated[Path | None, typer.Option(help="Folder for answers of nodes; the user's cache folder if absent.")]
Rate = Annotated[float | None, typer.Option("--requests-per-second", min=0.01, help="Ask the node no faster.")]
Protocols = Annotated[
    list[str] | None,
    typer.Option("--protocol", help="Deployment to read, such as aave-v3; all of the chain if absent."),
]
Deployments = Annotated[Path | None, typer.Option(help="A file like chain/deployments.toml, for other deployments.")]
