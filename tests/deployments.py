"""The local chain's address book, in the form of chain/deployments.toml."""

from __future__ import annotations

from pathlib import Path

from fixtures.localchain import LocalChain, WholeChain


def write_deployments(built: LocalChain | WholeChain, path: Path) -> Path:
    """Write the file of everything that was deployed, and give back its path."""
    chain = built.chain if isinstance(built, WholeChain) else built
    entries = [
        ("aave-v3", "lending", "aave_v3", "provider", chain.market.addresses_provider),
        ("uniswap-v2", "amm", "uniswap_v2", "factory", chain.factories["v2"]),
        ("uniswap-v3", "amm", "uniswap_v3", "factory", chain.factories["v3"]),
    ]
    if isinstance(built, WholeChain):
        entries += [
            ("aave-v2", "lending", "aave_v2", "provider", built.aave_v2.addresses_provider),
            ("aave-v3-0", "lending", "aave_v3", "provider", built.aave_v3_0.addresses_provider),
            ("venus", "lending", "venus_core", "comptroller", built.venus.comptroller),
            ("morpho-blue", "lending", "morpho_blue", "morpho", built.morpho.address),
            ("uniswap-v4", "amm", "uniswap_v4", "manager", built.uniswap_v4.manager),
        ]
    others = {"uniswap-v4": f', wrapped_native = "{chain.reserves["WETH"].address}"'}
    path.write_text(
        "\n".join(
            f'[[deployment]]\nchain_id = {chain.chain_id}\nname = "{name}"\nfamily = "{family}"\n'
            f'protocol = "{protocol}"\naddresses = {{ {role} = "{address}"{others.get(name, "")} }}\n'
            for name, family, protocol, role, address in entries
        )
    )
    return path
