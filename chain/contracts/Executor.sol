// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.27;

interface IPoolV3 {
    function token0() external view returns (address);
    function token1() external view returns (address);
    function swap(address recipient, bool zeroForOne, int256 amountSpecified, uint160 sqrtPriceLimitX96, bytes calldata data)
        external
        returns (int256, int256);
}

interface IPairV2 {
    function swap(uint256 amount0Out, uint256 amount1Out, address to, bytes calldata data) external;
}

interface IAavePool {
    function liquidationCall(address collateral, address debt, address user, uint256 debtToCover, bool receiveAToken)
        external;
}

interface IERC20 {
    function allowance(address owner, address spender) external view returns (uint256);
    function approve(address spender, uint256 value) external returns (bool);
    function transfer(address to, uint256 value) external returns (bool);
}

/// The liquidator and trader of `unwind verify`: it pays from its own balances. It lives on forks only, where nothing
/// it holds is worth anything, and so it asks nobody who they are.
contract Executor {
    /// Swap in a Uniswap v3 pool; positive amounts were paid to the pool, negative ones received by `recipient`.
    function swapV3(
        IPoolV3 pool,
        address recipient,
        bool zeroForOne,
        int256 amountSpecified,
        uint160 sqrtPriceLimitX96
    ) external returns (int256 amount0, int256 amount1) {
        return pool.swap(recipient, zeroForOne, amountSpecified, sqrtPriceLimitX96, "");
    }

    function uniswapV3SwapCallback(int256 amount0, int256 amount1, bytes calldata) external {
        IPoolV3 pool = IPoolV3(msg.sender);
        if (amount0 > 0) _call(pool.token0(), abi.encodeCall(IERC20.transfer, (msg.sender, uint256(amount0))));
        if (amount1 > 0) _call(pool.token1(), abi.encodeCall(IERC20.transfer, (msg.sender, uint256(amount1))));
    }

    /// Pay `amountIn` into a Uniswap v2 pair and take exactly the amounts out.
    function swapV2(IPairV2 pair, address tokenIn, uint256 amountIn, uint256 amount0Out, uint256 amount1Out) external {
        _call(tokenIn, abi.encodeCall(IERC20.transfer, (address(pair), amountIn)));
        pair.swap(amount0Out, amount1Out, address(this), "");
    }

    /// Aave's liquidationCall, paid from this contract's balance of the debt token.
    function liquidate(
        IAavePool pool,
        address collateral,
        address debt,
        address user,
        uint256 debtToCover,
        bool receiveAToken
    ) external {
        // Unlimited and at most once: tokens like USDT refuse to change an allowance that is in use.
        if (IERC20(debt).allowance(address(this), address(pool)) < debtToCover) {
            _call(debt, abi.encodeCall(IERC20.approve, (address(pool), type(uint256).max)));
        }
        pool.liquidationCall(collateral, debt, user, debtToCover, receiveAToken);
    }

    /// A token call that may return nothing, or must return true; the token's own error is passed on.
    function _call(address token, bytes memory data) private {
        (bool ok, bytes memory answer) = token.call(data);
        if (!ok) {
            assembly {
                revert(add(answer, 32), mload(answer))
            }
        }
        require(answer.length == 0 || abi.decode(answer, (bool)), "Executor: token refused");
    }
}
