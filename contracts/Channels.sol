// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {LowLevelCall} from "@openzeppelin/contracts/utils/LowLevelCall.sol";
import {Multicall} from "@openzeppelin/contracts/utils/Multicall.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {IChannels} from "./interfaces/IChannels.sol";
import {IHosts} from "./interfaces/IHosts.sol";
import {ITasks} from "./interfaces/ITasks.sol";
import {Till, newTill} from "./Till.sol";
import {Typed} from "./Typed.sol";

/// @title Channels
/// @notice See IChannels. Nobody owns this contract, nothing in it can be switched off, and no money leaves it but by
/// the rules below. Every function that moves tokens or calls out is guarded against re-entry; `claim` moves only numbers.
contract Channels is IChannels, EIP712, ReentrancyGuardTransient, Multicall {
    using SafeERC20 for IERC20;

    /// @dev What a claim carries from row to row: the next row, and the till of the last task that was paid, which is put
    /// back when another task comes, so that many channels of one task write it once.
    struct Desk {
        address token;
        bytes32 domain;
        uint256 next;
        bytes32 taskId;
        Till till;
        Outcome[] outcomes;
    }

    /// @notice A host must be able to notice a close and claim; a client must not wait for ever.
    uint64 public constant MIN_CLOSE_DELAY = 15 minutes;
    uint64 public constant MAX_CLOSE_DELAY = 30 days;

    uint64 private constant FINISHED = type(uint64).max;

    ITasks public immutable TASKS;
    IHosts public immutable HOSTS;

    mapping(bytes32 id => Channel) private _channels;
    mapping(bytes32 id => mapping(bytes32 taskId => Lane)) private _lanes;
    mapping(address token => mapping(address account => uint256)) private _credits;
    mapping(address token => mapping(bytes32 taskId => Till)) private _tills;

    constructor(ITasks tasks, IHosts hosts) EIP712("MECA", "1") {
        if (hosts.channels() != address(this)) revert NotPointingHere(address(hosts));
        TASKS = tasks;
        HOSTS = hosts;
    }

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
    function claimVoucher(Typed.Terms calldata terms, Typed.Row calldata row) external {
        Outcome[] memory untold;
        Desk memory desk = _newDesk(terms.token, untold);
        bytes32 id = MessageHashUtils.toTypedDataHash(desk.domain, Typed.hashTerms(terms));
        Channel storage state = _channels[id];
        (Skip skip, uint256 host, uint256 developer) = (Skip.NotHost, 0, 0);
        if (_isHostSide(terms.host)) (skip, host, developer) = _claimRow(desk, id, terms.signer, row, _left(state));
        if (skip == Skip.None) {
            _count(state, host, developer);
            _settle(desk, terms.host, host);
        } else {
            _skip(id, row.taskId, skip);
        }
    }

    /// @inheritdoc IChannels
    function claimVouchers(
        address host,
        address token,
        Typed.Group[] calldata groups,
        Typed.Row[] calldata rows
    ) external {
        Outcome[] memory untold;
        _claim(host, groups, rows, _noAuthorities(), _newDesk(token, untold));
    }

    /// @inheritdoc IChannels
    function claimVouchersAndTell(
        address host,
        address token,
        Typed.Group[] calldata groups,
        Typed.Row[] calldata rows
    ) external returns (Outcome[] memory outcomes) {
        outcomes = new Outcome[](rows.length);
        _claim(host, groups, rows, _noAuthorities(), _newDesk(token, outcomes));
    }

    /// @inheritdoc IChannels
    function claimVouchersAs(
        address host,
        address token,
        Typed.Group[] calldata groups,
        Typed.Row[] calldata rows,
        Typed.Signature[] calldata authorities
    ) external returns (Outcome[] memory outcomes) {
        outcomes = new Outcome[](rows.length);
        _claim(host, groups, rows, authorities, _newDesk(token, outcomes));
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

    /// @dev Claims channel by channel; tells the outcomes where there is room for them. Nothing here can overflow: what
    /// is paid never exceeds what is left of the deposit, and all credit together never exceeds what came in.
    function _claim(
        address host,
        Typed.Group[] calldata groups,
        Typed.Row[] calldata rows,
        Typed.Signature[] calldata authorities,
        Desk memory desk
    ) private {
        bool isHostSide = _isHostSide(host);
        uint256 hostPaid = 0;
        for (uint256 i = 0; i < groups.length; ++i) {
            Typed.Group calldata group = groups[i];
            bytes32 structHash = Typed.hashGroup(group, host, desk.token);
            bytes32 id = MessageHashUtils.toTypedDataHash(desk.domain, structHash);
            if (isHostSide || _isNamed(id, host, authorities, i)) {
                // No more than all that ever came in.
                unchecked {
                    hostPaid += _claimGroup(desk, id, group, rows);
                }
            } else {
                _skipGroup(desk, id, group.rows, rows);
            }
        }
        _settle(desk, host, hostPaid);
    }

    function _newDesk(address token, Outcome[] memory outcomes) private view returns (Desk memory) {
        return Desk(token, _domainSeparatorV4(), 0, 0, Till.wrap(0), outcomes);
    }

    /// @dev The host or its payee. A client signs vouchers itself: were it let in, one of its own making would empty the
    /// channel, or make the host's stale, ahead of the host's claim.
    function _isHostSide(address host) private view returns (bool) {
        return msg.sender == host || msg.sender == HOSTS.payeeOf(host);
    }

    /// @dev Whom the host named for this channel.
    function _isNamed(
        bytes32 id,
        address host,
        Typed.Signature[] calldata authorities,
        uint256 index
    ) private view returns (bool) {
        return index < authorities.length && _isSigned(Typed.hashClaimer(id, msg.sender), authorities[index], host);
    }

    function _noAuthorities() private pure returns (Typed.Signature[] calldata none) {
        assembly ("memory-safe") {
            none.offset := 0
            none.length := 0
        }
    }

    function _skipGroup(Desk memory desk, bytes32 id, uint256 count, Typed.Row[] calldata rows) private {
        for (; count > 0; --count) {
            Skip skip = _skip(id, rows[desk.next].taskId, Skip.NotHost);
            if (desk.outcomes.length != 0) desk.outcomes[desk.next] = Outcome(skip, 0, 0);
            ++desk.next;
        }
    }

    /// @dev Returns what the host gets. The channel is written once.
    function _claimGroup(
        Desk memory desk,
        bytes32 id,
        Typed.Group calldata group,
        Typed.Row[] calldata rows
    ) private returns (uint256 hostPaid) {
        Channel storage state = _channels[id];
        unchecked {
            uint256 left = _left(state);
            uint256 developersPaid = 0;
            for (uint256 count = group.rows; count > 0; --count) {
                Typed.Row calldata row = rows[desk.next];
                (Skip skip, uint256 host, uint256 developer) = _claimRow(desk, id, group.signer, row, left);
                left -= host + developer;
                hostPaid += host;
                developersPaid += developer;
                if (skip != Skip.None) skip = _skip(id, row.taskId, skip);
                if (desk.outcomes.length != 0) desk.outcomes[desk.next] = Outcome(skip, uint96(host), uint96(developer));
                ++desk.next;
            }
            if (hostPaid + developersPaid == 0) return 0;
            _count(state, hostPaid, developersPaid);
        }
    }

    function _count(Channel storage state, uint256 hostPaid, uint256 developersPaid) private {
        unchecked {
            state.claimed += uint96(hostPaid + developersPaid);
        }
    }

    /// @dev Nothing once it is finished.
    function _left(Channel storage state) private view returns (uint256) {
        unchecked {
            return state.closesAt == FINISHED ? 0 : state.deposit - state.claimed;
        }
    }

    /// @dev Books one row in its lane and in the till at hand. Amounts have at most 96 bits and jobs 64, so no sum or
    /// product below comes near 256 bits.
    function _claimRow(
        Desk memory desk,
        bytes32 id,
        address signer,
        Typed.Row calldata row,
        uint256 left
    ) private returns (Skip, uint256 host, uint256 developer) {
        if (left == 0) return (Skip.EmptyChannel, 0, 0);
        bytes32 taskId = row.taskId;
        Lane storage lane_ = _lanes[id][taskId];
        (uint256 hostPaid, uint256 developerPaid) = (lane_.hostAmount, lane_.developerAmount);
        uint256 jobs = row.jobs;
        unchecked {
            (host, developer) = (row.hostAmount, row.developerAmount);
            if (jobs < lane_.jobs || host < hostPaid || developer < developerPaid) return (Skip.Stale, 0, 0);
            (host, developer) = (host - hostPaid, developer - developerPaid);
            uint256 due = host + developer;
            if (due == 0) return (Skip.Stale, 0, 0);
            bytes32 digest = MessageHashUtils.toTypedDataHash(desk.domain, Typed.hashVoucher(id, row));
            if (!_isSignedDigest(digest, row.signature, signer)) return (Skip.BadSignature, 0, 0);
            if (taskId != desk.taskId || !desk.till.isKnown()) {
                Skip skip = _turnTo(desk, taskId);
                if (skip != Skip.None) return (skip, 0, 0);
            }
            if (developer + developerPaid < jobs * desk.till.fee()) return (Skip.FeeMissing, 0, 0);

            if (due > left) {
                // Rounded up for the developer, so that many small claims cannot round its share away.
                developer = (left * developer + due - 1) / due;
                host = left - developer;
            }
            desk.till = desk.till.withCredit(developer);
            lane_.jobs = uint64(jobs);
            lane_.hostAmount = uint96(hostPaid + host);
            lane_.developerAmount = uint96(developerPaid + developer);
        }
        emit Claimed(id, taskId, uint96(host), uint96(developer));
        return (Skip.None, host, developer);
    }

    /// @dev Takes a task's till, and puts back the one at hand. A task is looked up when it is first claimed in a token.
    function _turnTo(Desk memory desk, bytes32 taskId) private returns (Skip) {
        Till till = _tills[desk.token][taskId];
        if (!till.isKnown()) {
            (address payee, uint96 fee, address token) = TASKS.priceOf(taskId);
            if (payee == address(0)) return Skip.UnknownTask;
            if (fee != 0 && token != desk.token) return Skip.WrongToken;
            till = newTill(fee);
        }
        _putTill(desk);
        (desk.taskId, desk.till) = (taskId, till);
        return Skip.None;
    }

    function _putTill(Desk memory desk) private {
        if (desk.till.isKnown()) _tills[desk.token][desk.taskId] = desk.till;
    }

    /// @dev Writes what the rows brought, but for channels and lanes, which are written as they come.
    function _settle(Desk memory desk, address host, uint256 hostPaid) private {
        _putTill(desk);
        unchecked {
            if (hostPaid != 0) _credits[desk.token][host] += hostPaid;
        }
    }

    /// @dev Emits and returns why a row was skipped; where nothing was left, the channel says why that is.
    function _skip(bytes32 id, bytes32 taskId, Skip reason) private returns (Skip) {
        if (reason == Skip.EmptyChannel) {
            if (_channels[id].deposit == 0) reason = Skip.UnknownChannel;
            else if (_channels[id].closesAt == FINISHED) reason = Skip.FinishedChannel;
        }
        emit Skipped(id, taskId, reason);
        return reason;
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

    function _isSigned(
        bytes32 structHash,
        Typed.Signature calldata signature,
        address signer
    ) private view returns (bool) {
        return _isSignedDigest(_hashTypedDataV4(structHash), signature, signer);
    }

    /// @dev What is no signature recovers to zero, which nobody is.
    function _isSignedDigest(
        bytes32 digest,
        Typed.Signature calldata signature,
        address signer
    ) private pure returns (bool) {
        (address recovered, , ) = ECDSA.tryRecover(digest, signature.v, signature.r, signature.s);
        return recovered == signer && recovered != address(0);
    }

    function _live(bytes32 id) private view returns (Channel storage state) {
        state = _channels[id];
        if (state.deposit == 0) revert NotOpened(id);
        if (state.closesAt == FINISHED) revert AlreadyFinished(id);
    }
}
