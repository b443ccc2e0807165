// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title What is signed
/// @notice The struct types of the one EIP-712 domain (name "MECA", version "1", verifying contract Channels) that a
/// contract ever has to check. src/core/typed.ts lays out the same bytes; golden vectors hold both to them.
library Typed {
    /// @notice What the two sides of a channel agree on for its whole life. Its digest is the channel's id.
    struct Terms {
        address client;
        address signer;
        address host;
        address token;
        uint64 closeDelay;
        bytes32 salt;
    }

    /// @notice 65 bytes: v is 27 or 28 and s is low, or it is no signature here.
    struct Signature {
        bytes32 r;
        bytes32 s;
        uint8 v;
    }

    /// @notice What a host says it did.
    struct Receipt {
        bytes32 channelId;
        bytes32 jobHash;
        bytes32 taskId;
        bytes32 inputHash;
        bytes32 outputHash;
        uint8 status;
        uint96 hostAmount;
        uint96 developerAmount;
        uint64 startedAt;
        uint64 endedAt;
    }

    bytes32 internal constant CHANNEL =
        keccak256(
            "Channel(address client,address signer,address host,address token,uint64 closeDelay,bytes32 salt)"
        );
    bytes32 internal constant OPEN = keccak256("Open(bytes32 channelId,uint96 amount)");
    bytes32 internal constant VOUCHER =
        keccak256("Voucher(bytes32 channelId,bytes32 taskId,uint64 jobs,uint96 hostAmount,uint96 developerAmount)");
    bytes32 internal constant RELEASE = keccak256("Release(bytes32 channelId,uint96 claimed)");
    bytes32 internal constant RECEIPT =
        keccak256(
            "Receipt(bytes32 channelId,bytes32 jobHash,bytes32 taskId,bytes32 inputHash,bytes32 outputHash,uint8 status,uint96 hostAmount,uint96 developerAmount,uint64 startedAt,uint64 endedAt)"
        );
    bytes32 internal constant RECEIPTS = keccak256("Receipts(bytes32 root)");
    bytes32 internal constant DOMAIN =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
    bytes32 internal constant NAME = keccak256("MECA");
    bytes32 internal constant VERSION = keccak256("1");

    function hashTerms(Terms calldata terms) internal pure returns (bytes32) {
        return keccak256(abi.encode(CHANNEL, terms));
    }

    function hashOpen(bytes32 channelId, uint96 amount) internal pure returns (bytes32) {
        return keccak256(abi.encode(OPEN, channelId, amount));
    }

    function hashRelease(bytes32 channelId, uint96 claimed) internal pure returns (bytes32) {
        return keccak256(abi.encode(RELEASE, channelId, claimed));
    }

    /// @notice The leaf of a receipt in the tree whose root the host signs.
    function hashReceipt(Receipt calldata receipt) internal pure returns (bytes32) {
        return keccak256(abi.encode(RECEIPT, receipt));
    }

    function hashReceipts(bytes32 root) internal pure returns (bytes32) {
        return keccak256(abi.encode(RECEIPTS, root));
    }
}
