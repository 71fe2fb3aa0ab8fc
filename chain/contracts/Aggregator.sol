// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.27;

/// Many reads in one `eth_call`. Laid over any address by a state override, so it need not be deployed anywhere.
/// Function and types are those of Multicall3's `tryAggregate`, read-only: every call is a STATICCALL.
contract Aggregator {
    struct Call {
        address target;
        bytes callData;
    }

    struct Result {
        bool success;
        bytes returnData;
    }

    /// @param requireSuccess revert if any call does; without it a failed call is one `success == false`.
    function tryAggregate(bool requireSuccess, Call[] calldata calls)
        external
        view
        returns (Result[] memory results)
    {
        uint256 count = calls.length;
        results = new Result[](count);
        for (uint256 i = 0; i < count; ) {
            Call calldata call = calls[i];
            Result memory result = results[i];
            (result.success, result.returnData) = call.target.staticcall(call.callData);
            require(result.success || !requireSuccess, "Aggregator: call failed");
            unchecked {
                ++i;
            }
        }
    }
}
