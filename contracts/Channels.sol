// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {LowLevelCall} from "@openzeppelin/contracts/utils/LowLevelCall.sol";
import {Multicall} from "@openzeppelin/contracts/utils/Multicall.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Claims} from "./Claims.sol";
import {IChannels} from "./interfaces/IChannels.sol";
import {IHosts} from "./interfaces/IHosts.sol";
import {ITasks} from "./interfaces/ITasks.sol";
import {Till} from "./Till.sol";
import {Typed} from "./Typed.sol";

/// @title Channels
/// @notice See IChannels. Nobody owns this contract, nothing in it can be switched off, and no money leaves it but by
/// the rules below. Every function that moves tokens or calls out is guarded against re-entry; claims, which move only
/// numbers, stand in Claims with the books that both write.
contract Channels is Claims, ReentrancyGuardTransient, Multicall {
    using SafeERC20 for IERC20;

    /// @notice A host must be able to notice a close and claim; a client must not wait for ever.
    uint64 public constant MIN_CLOSE_DELAY = 15 minutes;
    uint64 public constant MAX_CLOSE_DELAY = 30 days;

    constructor(ITasks tasks, IHosts hosts) Claims(tasks, hosts) {}

    /// @inheritdoc IChannels
    function open(Typed.Terms calldata terms, uint96 amount) external payable nonReentrant returns (bytes32 id) {
        if (msg.sender != terms.client) revert NotClient(msg.sender, terms.client);
        id = channelId(terms);
        _open(id, terms, amount);
    }

    /// @inheritdoc IChannels
    function openWithPermit(
        Typed.Terms calldata terms,
        uint96 amount,
        Typed.Signature calldata authority,
        uint256 permitDeadline,
        Typed.Signature calldata permitSignature
    ) external nonReentrant returns (bytes32 id) {
        id = channelId(terms);
        _requireSigned(Typed.hashOpen(id, amount), authority, terms.client);
        _permit(terms.token, terms.client, amount, permitDeadline, permitSignature);
        _open(id, terms, amount);
    }

    /// @inheritdoc IChannels
    function topUp(Typed.Terms calldata terms, uint96 amount) external payable nonReentrant {
        _topUp(terms, amount);
    }

    /// @inheritdoc IChannels
    function topUpWithPermit(
        Typed.Terms calldata terms,
        uint96 amount,
        uint256 permitDeadline,
        Typed.Signature calldata permitSignature
    ) external nonReentrant {
        _permit(terms.token, msg.sender, amount, permitDeadline, permitSignature);
        _topUp(terms, amount);
    }

    /// @inheritdoc IChannels
    function startClose(Typed.Terms calldata terms) external {
        bytes32 id = channelId(terms);
        Channel storage state = _live(id);
        if (msg.sender != terms.client) revert NotClient(msg.sender, terms.client);
        if (state.closesAt != 0) revert AlreadyClosing(state.closesAt);

        state.closesAt = uint64(block.timestamp) + terms.closeDelay;

        emit Closing(id, state.closesAt);
    }

    /// @inheritdoc IChannels
    function finishClose(Typed.Terms calldata terms) external nonReentrant {
        bytes32 id = channelId(terms);
        Channel storage state = _live(id);
        if (state.closesAt == 0 || block.timestamp < state.closesAt) revert NotYet(state.closesAt);

        _finish(id, state, terms);
    }

    /// @inheritdoc IChannels
    function release(
        Typed.Terms calldata terms,
        uint96 claimed,
        Typed.Signature calldata hostSignature
    ) external nonReentrant {
        bytes32 id = channelId(terms);
        Channel storage state = _live(id);
        if (state.claimed < claimed) revert ClaimFirst(state.claimed, claimed);
        if (msg.sender != terms.host) _requireSigned(Typed.hashRelease(id, claimed), hostSignature, terms.host);

        _finish(id, state, terms);
    }

    /// @inheritdoc IChannels
    function withdraw(address token, address account) external nonReentrant {
        _withdraw(token, account, HOSTS.payeeOf(account));
    }

    /// @inheritdoc IChannels
    function withdrawTo(address token, address account, address to) external nonReentrant {
        address payee = HOSTS.payeeOf(account);
        if (msg.sender != payee) revert NotPayee(msg.sender, payee);
        _withdraw(token, account, to);
    }

    /// @inheritdoc IChannels
    function withdrawTasks(address token, address payee, bytes32[] calldata taskIds) external nonReentrant {
        mapping(bytes32 taskId => Till) storage tills = _tills[token];
        uint256 amount = 0;
        for (uint256 i = 0; i < taskIds.length; ++i) {
            if (TASKS.payeeOf(taskIds[i]) != payee) continue;
            Till till = tills[taskIds[i]];
            amount += till.credit();
            tills[taskIds[i]] = till.emptied();
        }
        if (amount == 0) revert NothingToWithdraw();

        emit TasksWithdrawn(token, payee, payee, amount);
        _send(token, payee, amount);
    }

    /// @inheritdoc IChannels
    function channel(bytes32 id) external view returns (Channel memory) {
        return _channels[id];
    }

    /// @inheritdoc IChannels
    function lane(bytes32 id, bytes32 taskId) external view returns (Lane memory) {
        return _lanes[id][taskId];
    }

    /// @inheritdoc IChannels
    function credit(address token, address account) external view returns (uint256) {
        return _credits[token][account];
    }

    /// @inheritdoc IChannels
    function taskCredit(address token, bytes32 taskId) external view returns (uint256) {
        return _tills[token][taskId].credit();
    }

    /// @inheritdoc IChannels
    function channelId(Typed.Terms calldata terms) public view returns (bytes32) {
        return _hashTypedDataV4(Typed.hashTerms(terms));
    }

    function _open(bytes32 id, Typed.Terms calldata terms, uint96 amount) private {
        Channel storage state = _channels[id];
        if (terms.signer == address(0) || terms.host == address(0)) revert ZeroParty();
        if (terms.closeDelay < MIN_CLOSE_DELAY || terms.closeDelay > MAX_CLOSE_DELAY) {
            revert BadCloseDelay(terms.closeDelay);
        }
        if (state.deposit != 0) revert AlreadyOpened(id);

        uint96 deposit = _deposit(state, terms.token, terms.client, amount);

        state.deposit = deposit;
        emit Opened(id, terms.client, terms.host, terms, deposit);
    }

    /// @dev Takes money in and returns the channel's new deposit. What counts is what arrived: a token may keep a part.
    /// The guard keeps the balance from moving in between by any door of ours.
    function _deposit(Channel storage state, address token, address from, uint96 amount) private returns (uint96) {
        uint256 arrived = amount;
        if (token == address(0)) {
            if (msg.value != amount) revert WrongValue(msg.value, amount);
        } else {
            if (msg.value != 0) revert WrongValue(msg.value, 0);
            uint256 before = IERC20(token).balanceOf(address(this));
            IERC20(token).safeTransferFrom(from, address(this), amount);
            arrived = IERC20(token).balanceOf(address(this)) - before;
        }
        if (arrived == 0) revert NothingDeposited();
        uint256 deposit = state.deposit + arrived;
        if (deposit > type(uint96).max) revert DepositTooLarge(deposit);
        return uint96(deposit);
    }

    function _topUp(Typed.Terms calldata terms, uint96 amount) private {
        bytes32 id = channelId(terms);
        Channel storage state = _live(id);

        uint96 before = state.deposit;

        uint96 deposit = _deposit(state, terms.token, msg.sender, amount);

        state.deposit = deposit;
        emit ToppedUp(id, deposit - before, deposit);
    }

    /// @dev Somebody may have sent the permit ahead of us; then the allowance is there, and if not, the transfer fails.
    function _permit(
        address token,
        address owner,
        uint96 amount,
        uint256 deadline,
        Typed.Signature calldata signature
    ) private {
        (uint8 v, bytes32 r, bytes32 s) = (signature.v, signature.r, signature.s);
        try IERC20Permit(token).permit(owner, address(this), amount, deadline, v, r, s) {} catch {}
    }

    /// @dev A refund that the client's account does not take becomes credit: a client cannot hinder the end of a channel.
    function _finish(bytes32 id, Channel storage state, Typed.Terms calldata terms) private {
        uint256 refund = state.deposit - state.claimed;

        state.closesAt = FINISHED;

        bool sent = refund == 0 || _trySend(terms.token, terms.client, refund);
        if (!sent) _credits[terms.token][terms.client] += refund;
        emit Finished(id, refund, sent);
    }

    function _withdraw(address token, address account, address to) private {
        uint256 amount = _credits[token][account];
        if (amount == 0) revert NothingToWithdraw();

        _credits[token][account] = 0;

        emit Withdrawn(token, account, to, amount);
        _send(token, to, amount);
    }

    function _send(address token, address to, uint256 amount) private {
        if (token == address(0)) Address.sendValue(payable(to), amount);
        else IERC20(token).safeTransfer(to, amount);
    }

    function _trySend(address token, address to, uint256 amount) private returns (bool) {
        if (token == address(0)) return LowLevelCall.callNoReturn(to, amount, "");
        return IERC20(token).trySafeTransfer(to, amount);
    }

    function _requireSigned(bytes32 structHash, Typed.Signature calldata signature, address signer) private view {
        if (!_isSigned(structHash, signature, signer)) revert BadSignature();
    }

    function _live(bytes32 id) private view returns (Channel storage state) {
        state = _channels[id];
        if (state.deposit == 0) revert NotOpened(id);
        if (state.closesAt == FINISHED) revert AlreadyFinished(id);
    }
}
