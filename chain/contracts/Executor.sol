// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.27;

interface IPoolV3 {
    function token0() external view returns (address);
    function token1() external view returns (address);
}

interface IPoolManagerV4 {
    function sync(address currency) external;
    function settle() external payable returns (uint256);
    function take(address currency, address to, uint256 amount) external;
}

interface IERC20 {
    function transfer(address to, uint256 value) external returns (bool);
}

/// The liquidator and trader of `unwind verify`: it does what it is told and pays from its own balances. It lives on
/// forks only, where nothing it holds is worth anything, and so it asks nobody who they are.
contract Executor {
    /// Call a contract; its answer and its errors are passed on.
    function execute(address target, bytes calldata data) external returns (bytes memory answer) {
        answer = _call(target, data);
    }

    /// A Uniswap v3 pool asks to be paid for the swap that it was told to do.
    function uniswapV3SwapCallback(int256 amount0, int256 amount1, bytes calldata) external {
        IPoolV3 pool = IPoolV3(msg.sender);
        if (amount0 > 0) _pay(pool.token0(), uint256(amount0));
        if (amount1 > 0) _pay(pool.token1(), uint256(amount1));
    }

    /// Uniswap v4's PoolManager, unlocked, is given the call that it was unlocked for, a swap. Then what is owed to it
    /// is paid, and what it owes is taken.
    function unlockCallback(bytes calldata swap) external returns (bytes memory answer) {
        answer = _call(msg.sender, swap);
        int256 delta = abi.decode(answer, (int256));
        (address currency0, address currency1) = abi.decode(swap[4:], (address, address));
        _settle(currency0, int128(delta >> 128));
        _settle(currency1, int128(delta));
    }

    /// What the chain's own currency is paid out to.
    receive() external payable {}

    /// Negative: owed to the PoolManager. Address 0 is the chain's own currency.
    function _settle(address currency, int128 delta) private {
        IPoolManagerV4 manager = IPoolManagerV4(msg.sender);
        if (delta > 0) manager.take(currency, address(this), uint128(delta));
        if (delta >= 0) return;
        uint256 owed = uint256(-int256(delta));
        manager.sync(currency);
        if (currency == address(0)) {
            manager.settle{value: owed}();
        } else {
            _pay(currency, owed);
            manager.settle();
        }
    }

    /// Tokens may return nothing, or must return true.
    function _pay(address token, uint256 value) private {
        bytes memory answer = _call(token, abi.encodeCall(IERC20.transfer, (msg.sender, value)));
        require(answer.length == 0 || abi.decode(answer, (bool)), "Executor: token refused");
    }

    function _call(address target, bytes memory data) private returns (bytes memory) {
        (bool ok, bytes memory answer) = target.call(data);
        if (!ok) {
            assembly {
                revert(add(answer, 32), mload(answer))
            }
        }
        return answer;
    }
}
