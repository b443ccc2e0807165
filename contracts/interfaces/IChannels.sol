// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Typed} from "../Typed.sol";

/// @title Money that a client has locked for one host
/// @notice A channel is named by the EIP-712 digest of its terms and is never opened twice. The key named `signer` signs
/// vouchers; each says what the client owes so far for one task in this channel, to the host and to the task's
/// developer. The host's side turns vouchers into credit until the channel is finished; the rest returns to the
/// client. Nobody else may: a client could sign itself a voucher for the whole deposit and claim it ahead of the host's.
/// Credit is drawn by `withdraw`, so that nobody's claim depends on somebody else's account.
/// Signatures are plain ECDSA of the key in the terms: 65 bytes, v 27 or 28, low s. A signer therefore cannot take back
/// what it signed by changing the code of its account.
interface IChannels {
    /// @notice Why a row was paid nothing. `None`: it was paid.
    enum Skip {
        None,
        UnknownChannel,
        FinishedChannel,
        Stale,
        EmptyChannel,
        BadSignature,
        UnknownTask,
        WrongToken,
        FeeMissing,
        NotHost
    }

    /// @notice What one row brought, in the order of the rows.
    struct Outcome {
        Skip skip;
        uint96 hostPaid;
        uint96 developerPaid;
    }

    /// @notice `closesAt` is 0 while open, the second from which it may be finished, or 2^64 - 1 once it is finished.
    struct Channel {
        uint96 deposit;
        uint96 claimed;
        uint64 closesAt;
    }

    /// @notice What was paid so far on one (channel, task).
    struct Lane {
        uint64 jobs;
        uint96 hostAmount;
        uint96 developerAmount;
    }

    event Opened(bytes32 indexed channelId, address indexed client, address indexed host, Typed.Terms terms, uint256 deposit);
    event ToppedUp(bytes32 indexed channelId, uint256 amount, uint256 deposit);
    event Claimed(
        bytes32 indexed channelId,
        bytes32 taskId,
        uint96 hostPaid,
        uint96 developerPaid
    );
    event Skipped(bytes32 indexed channelId, bytes32 indexed taskId, Skip reason);
    event Closing(bytes32 indexed channelId, uint64 closesAt);
    event Finished(bytes32 indexed channelId, uint256 refund, bool sent);
    event Withdrawn(address indexed token, address indexed account, address to, uint256 amount);
    event TasksWithdrawn(address indexed token, address indexed payee, address to, uint256 amount);

    error NotPointingHere(address hosts);
    error ZeroParty();
    error BadCloseDelay(uint64 closeDelay);
    error NotClient(address caller, address client);
    error AlreadyOpened(bytes32 channelId);
    error NotOpened(bytes32 channelId);
    error AlreadyFinished(bytes32 channelId);
    error AlreadyClosing(uint64 closesAt);
    error NotYet(uint64 closesAt);
    error NothingDeposited();
    error WrongValue(uint256 sent, uint256 wanted);
    error DepositTooLarge(uint256 deposit);
    error BadSignature();
    error ClaimFirst(uint256 claimed, uint256 agreed);
    error NotPayee(address caller, address payee);
    error NothingToWithdraw();

    /// @notice Opens a channel with the caller as client. Native currency comes as value (equal to `amount`), a token by
    /// allowance. What is credited is what arrived.
    function open(Typed.Terms calldata terms, uint96 amount) external payable returns (bytes32 id);

    /// @notice Opens a channel for a client that pays no gas. `authority` is the client's signature over
    /// Open(channelId, amount), so that whoever relays can change neither the terms nor the amount. A permit that was
    /// used already, or that the token does not know, is no fault as long as the allowance is there.
    /// @param permitSignature EIP-2612: the client lets this contract move `amount` until `permitDeadline`.
    function openWithPermit(
        Typed.Terms calldata terms,
        uint96 amount,
        Typed.Signature calldata authority,
        uint256 permitDeadline,
        Typed.Signature calldata permitSignature
    ) external returns (bytes32 id);

    /// @notice Adds to the deposit, from the caller. Anybody may; no timer is touched, and a finished channel refuses.
    function topUp(Typed.Terms calldata terms, uint96 amount) external payable;

    /// @notice As `topUp` of a token, with an EIP-2612 permit by the caller instead of an allowance given before. A permit
    /// that was used already, or that the token does not know, is no fault as long as the allowance is there.
    function topUpWithPermit(
        Typed.Terms calldata terms,
        uint96 amount,
        uint256 permitDeadline,
        Typed.Signature calldata permitSignature
    ) external;

    /// @notice As `claimVouchers` of one row, which is the commonest claim and costs less by itself.
    function claimVoucher(Typed.Terms calldata terms, Typed.Row calldata row) external;

    /// @notice Turns vouchers of one host's channels in one token into credit. Only the host or its payee (see
    /// IHosts.payeeOf); rows claimed by anybody else are skipped as NotHost. A row that cannot be paid is skipped with its
    /// reason and harms no other. Where the deposit is short, host and developer share what is left in proportion, and the
    /// same voucher brings the rest after a top-up. The developer's cumulative amount must cover the cumulative jobs times
    /// the fee.
    function claimVouchers(
        address host,
        address token,
        Typed.Group[] calldata groups,
        Typed.Row[] calldata rows
    ) external;

    /// @notice As `claimVouchers`, and tells what each row brought, in the order of the rows; for trying a claim by eth_call.
    function claimVouchersAndTell(
        address host,
        address token,
        Typed.Group[] calldata groups,
        Typed.Row[] calldata rows
    ) external returns (Outcome[] memory outcomes);

    /// @notice As `claimVouchersAndTell`, by somebody whom the host named: for each group the host's signature over
    /// Claimer(channelId, caller). It is good for the channel's whole life and cannot be taken back, so a host signs it only
    /// for a watchtower that it trusts to claim nothing but the host's own vouchers.
    function claimVouchersAs(
        address host,
        address token,
        Typed.Group[] calldata groups,
        Typed.Row[] calldata rows,
        Typed.Signature[] calldata authorities
    ) external returns (Outcome[] memory outcomes);

    /// @notice Starts to close. Only the client. Claims go on until somebody finishes the channel.
    function startClose(Typed.Terms calldata terms) external;

    /// @notice Finishes a channel whose close delay has run and refunds the client. Anybody may.
    function finishClose(Typed.Terms calldata terms) external;

    /// @notice Finishes a channel at once: the host signed Release(channelId, claimed), and at least that was claimed.
    /// A host that calls itself needs no signature, and none is looked at: with `claimVouchers` and `withdraw` in one
    /// `multicall` it ends a channel for both sides in one transaction. `claimed` then keeps it from releasing a channel
    /// whose rows were skipped.
    function release(Typed.Terms calldata terms, uint96 claimed, Typed.Signature calldata hostSignature) external;

    /// @notice Sends an account's credit to its payee (see IHosts.payeeOf). Anybody may.
    function withdraw(address token, address account) external;

    /// @notice Sends an account's credit anywhere. Only its payee may; for when the payee itself cannot receive.
    function withdrawTo(address token, address account, address to) external;

    /// @notice Sends the developers' credit of those of `taskIds` whose payee is `payee` to that payee. Anybody may.
    function withdrawTasks(address token, address payee, bytes32[] calldata taskIds) external;

    /// @notice The EIP-712 digest of the terms on this chain and contract.
    function channelId(Typed.Terms calldata terms) external view returns (bytes32);

    function channel(bytes32 id) external view returns (Channel memory);

    function lane(bytes32 id, bytes32 taskId) external view returns (Lane memory);

    /// @notice What `withdraw` would send.
    function credit(address token, address account) external view returns (uint256);

    /// @notice What `withdrawTasks` would send for one task.
    function taskCredit(address token, bytes32 taskId) external view returns (uint256);
}
