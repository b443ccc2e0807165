// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {IChannels} from "./interfaces/IChannels.sol";
import {IHosts} from "./interfaces/IHosts.sol";
import {ITasks} from "./interfaces/ITasks.sol";
import {Till, newTill} from "./Till.sol";
import {Typed} from "./Typed.sol";

/// @title Claims
/// @notice The part of Channels that books vouchers, and the books. A claim moves numbers between them and no money, and
/// calls nobody but Tasks and Hosts, so it needs no guard against re-entry.
abstract contract Claims is IChannels, EIP712 {
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

    /// @dev What `closesAt` is once a channel has ended.
    uint64 internal constant FINISHED = type(uint64).max;

    ITasks public immutable TASKS;
    IHosts public immutable HOSTS;

    mapping(bytes32 id => Channel) internal _channels;
    mapping(bytes32 id => mapping(bytes32 taskId => Lane)) internal _lanes;
    mapping(address token => mapping(address account => uint256)) internal _credits;
    mapping(address token => mapping(bytes32 taskId => Till)) internal _tills;

    constructor(ITasks tasks, IHosts hosts) EIP712("MECA", "1") {
        if (hosts.channels() != address(this)) revert NotPointingHere(address(hosts));
        TASKS = tasks;
        HOSTS = hosts;
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

    function _isSigned(
        bytes32 structHash,
        Typed.Signature calldata signature,
        address signer
    ) internal view returns (bool) {
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
}
