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

    /// @notice A voucher with its signature. Amounts and jobs are cumulative per (channel, task).
    struct Row {
        bytes32 taskId;
        uint64 jobs;
        uint96 hostAmount;
        uint96 developerAmount;
        Signature signature;
    }

    /// @notice A channel in a claim, whose host and token the claim names, and how many of the rows are its: the groups
    /// share one list of rows out, in order.
    struct Group {
        address client;
        address signer;
        uint64 closeDelay;
        bytes32 salt;
        uint256 rows;
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
    bytes32 internal constant CLAIMER = keccak256("Claimer(bytes32 channelId,address claimer)");
    bytes32 internal constant RECEIPT =
        keccak256(
            "Receipt(bytes32 channelId,bytes32 jobHash,bytes32 taskId,bytes32 inputHash,bytes32 outputHash,uint8 status,uint96 hostAmount,uint96 developerAmount,uint64 startedAt,uint64 endedAt)"
        );
    bytes32 internal constant RECEIPTS = keccak256("Receipts(bytes32 root)");
    bytes32 internal constant DOMAIN =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
    bytes32 internal constant NAME = keccak256("MECA");
    bytes32 internal constant VERSION = keccak256("1");

    /// @dev Copies the six words as they are. Words with dirty bits give a hash that is no channel's, since `open` reads
    /// every field and the compiler refuses such a word there.
    function hashTerms(Terms calldata terms) internal pure returns (bytes32 result) {
        bytes32 typeHash = CHANNEL;
        assembly ("memory-safe") {
            let at_ := mload(0x40)
            mstore(at_, typeHash)
            calldatacopy(add(at_, 0x20), terms, 0xc0)
            result := keccak256(at_, 0xe0)
        }
    }

    /// @dev The same digest, of terms whose host and token stand elsewhere.
    function hashGroup(Group calldata group, address host, address token) internal pure returns (bytes32 result) {
        bytes32 typeHash = CHANNEL;
        assembly ("memory-safe") {
            let at_ := mload(0x40)
            mstore(at_, typeHash)
            calldatacopy(add(at_, 0x20), group, 0x40)
            mstore(add(at_, 0x60), host)
            mstore(add(at_, 0x80), token)
            calldatacopy(add(at_, 0xa0), add(group, 0x40), 0x40)
            result := keccak256(at_, 0xe0)
        }
    }

    /// @dev The first four words of the row, behind type and channel. The caller has read them, so they are clean.
    function hashVoucher(bytes32 channelId, Row calldata row) internal pure returns (bytes32 result) {
        bytes32 typeHash = VOUCHER;
        assembly ("memory-safe") {
            let at_ := mload(0x40)
            mstore(at_, typeHash)
            mstore(add(at_, 0x20), channelId)
            calldatacopy(add(at_, 0x40), row, 0x80)
            result := keccak256(at_, 0xc0)
        }
    }

    function hashOpen(bytes32 channelId, uint96 amount) internal pure returns (bytes32) {
        return keccak256(abi.encode(OPEN, channelId, amount));
    }

    function hashRelease(bytes32 channelId, uint96 claimed) internal pure returns (bytes32) {
        return keccak256(abi.encode(RELEASE, channelId, claimed));
    }

    function hashClaimer(bytes32 channelId, address claimer) internal pure returns (bytes32) {
        return keccak256(abi.encode(CLAIMER, channelId, claimer));
    }

    /// @notice The leaf of a receipt in the tree whose root the host signs.
    function hashReceipt(Receipt calldata receipt) internal pure returns (bytes32) {
        return keccak256(abi.encode(RECEIPT, receipt));
    }

    function hashReceipts(bytes32 root) internal pure returns (bytes32) {
        return keccak256(abi.encode(RECEIPTS, root));
    }
}
