"""The local chain's address book, in the form of chain/deployments.toml."""

from __future__ import annotations

from pathlib import Path

from fixtures.localchain import LocalChain


def write_deployments(chain: LocalChain, path: Path) -> Path:
    """Write the file and give back its path."""
    entries = [
        ("aave-v3", "lending", "aave_v3", "provider", chain.market.addresses_provider),
        ("uniswap-v2", "amm", "uniswap_v2", "factory", chain.factories["v2"]),
        ("uniswap-v3", "amm", "uniswap_v3", "factory", chain.factories["v3"]),
    ]
    path.write_text(
        "\n".join(
            f'[[deployment]]\nchain_id = {chain.chain_id}\nname = "{name}"\nfamily = "{family}"\n'
            f'protocol = "{protocol}"\naddresses = {{ {role} = "{address}" }}\n'
            for name, family, protocol, role, address in entries
        )
    )
    return path
