// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice A task's credit in one token beside its fee, in one word, so that a claim carries it from row to row: 128 bits
/// of credit, 127 of fee, and 1 once the task is known. 2^128 is out of reach of 2^32 full deposits.
type Till is uint256;

using {isKnown, fee, credit, withCredit, emptied} for Till global;

/// @notice Of a task that nothing was claimed for yet: its fee never changes, so it is looked up once per token.
function newTill(uint96 taskFee) pure returns (Till) {
    return Till.wrap((uint256(taskFee) << 1) | 1);
}

function isKnown(Till till) pure returns (bool) {
    return Till.unwrap(till) != 0;
}

function fee(Till till) pure returns (uint256) {
    return uint128(Till.unwrap(till)) >> 1;
}

function credit(Till till) pure returns (uint256) {
    return Till.unwrap(till) >> 128;
}

function withCredit(Till till, uint256 amount) pure returns (Till) {
    unchecked {
        return Till.wrap(Till.unwrap(till) + (amount << 128));
    }
}

function emptied(Till till) pure returns (Till) {
    return Till.wrap(uint128(Till.unwrap(till)));
}
