// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Typed} from "../../../contracts/Typed.sol";
import {IChannels} from "../../../contracts/interfaces/IChannels.sol";
import {IHosts} from "../../../contracts/interfaces/IHosts.sol";
import {ITasks} from "../../../contracts/interfaces/ITasks.sol";
import {IChannelsWhole} from "./Market.sol";
import {OddToken} from "./OddToken.sol";
import {Vm} from "./Vm.sol";

/// @notice A ledger beside the contract's, kept by the steps of Handler: what came in, what was paid on each lane, what
/// every party is owed. It says of every voucher beforehand what must happen to it.
abstract contract Ledger {
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    struct Book {
        Typed.Terms terms;
        bytes32 id;
        uint256 deposit;
        uint256 claimed;
        uint256 closesAt;
        bool finished;
    }

    struct Paid {
        uint256 jobs;
        uint256 host;
        uint256 developer;
    }

    uint256 internal constant SIGNER_KEY = 0x51;
    uint256 internal constant HOST_KEY = 0x40;
    uint256 public constant TASKS = 4;

    IChannelsWhole internal immutable channels;
    IHosts internal immutable hosts;
    ITasks internal immutable tasks;
    OddToken internal immutable odd;
    address public immutable client = vm.addr(0xC1);
    address public immutable host = vm.addr(HOST_KEY);
    address internal immutable developer = vm.addr(0xDE);
    address internal immutable stranger = vm.addr(0xBAD);
    address internal immutable cold = vm.addr(0xC01D);
    address[3] public tokens;

    Book[] internal books;
    mapping(bytes32 id => mapping(uint256 task => Paid)) internal lanes;
    mapping(address token => uint256) public came;
    mapping(address token => uint256) public gone;
    mapping(address token => uint256) public gifts;
    mapping(address token => uint256) public hostOwed;
    mapping(address token => uint256) public clientOwed;
    mapping(address token => mapping(uint256 task => uint256)) public taskOwed;

    constructor(IChannelsWhole channels_, IHosts hosts_, ITasks tasks_, address plain, OddToken odd_) {
        (channels, hosts, tasks, odd) = (channels_, hosts_, tasks_, odd_);
        tokens = [address(0), plain, address(odd_)];
    }

    function taskId(uint256 task) public pure returns (bytes32) {
        return bytes32(task + 1);
    }

    /// @notice Task 0 is free, task 3 is priced in native currency whatever the channel, the others in each token.
    function feeOf(uint256 task) public pure returns (uint256) {
        return task * 5;
    }

    function count() external view returns (uint256) {
        return books.length;
    }

    function bookAt(uint256 index) external view returns (Book memory) {
        return books[index];
    }

    function paidOn(bytes32 id, uint256 task) external view returns (Paid memory) {
        return lanes[id][task];
    }

    /// @dev Whether the odd token moves anything at the moment.
    function _moves(address token) internal view returns (bool) {
        return token != address(odd) || (!odd.paused() && odd.reply() != OddToken.Reply.False);
    }

    /// @dev What must happen to a well-signed voucher that is above the lane by `total`.
    function _judge(
        Book storage book,
        Paid storage paid,
        uint256 task,
        uint256 total
    ) internal view returns (IChannels.Skip) {
        if (book.finished) return IChannels.Skip.FinishedChannel;
        if (book.claimed == book.deposit) return IChannels.Skip.EmptyChannel;
        if (total == paid.host + paid.developer) return IChannels.Skip.Stale;
        (, uint96 fee, address token) = tasks.priceOf(taskId(task));
        return fee != 0 && token != book.terms.token ? IChannels.Skip.WrongToken : IChannels.Skip.None;
    }

    /// @dev Writes down what a row brought, and holds it to what may never be.
    function _book(
        Book storage book,
        uint256 task,
        uint256 jobs,
        IChannels.Outcome memory outcome
    ) internal {
        Paid storage paid = lanes[book.id][task];
        address token = book.terms.token;
        require(jobs >= paid.jobs, "I3: jobs fell");
        paid.jobs = jobs;
        paid.host += outcome.hostPaid;
        paid.developer += outcome.developerPaid;
        book.claimed += uint256(outcome.hostPaid) + outcome.developerPaid;
        hostOwed[token] += outcome.hostPaid;
        taskOwed[token][task] += outcome.developerPaid;
        require(book.claimed <= book.deposit, "I2: more claimed than deposited");
        bool short = book.claimed == book.deposit;
        require(short || paid.developer >= jobs * feeOf(task), "I5: the fee is not covered");
    }

    function _came(Book storage book, uint256 before) internal returns (uint256 arrived) {
        arrived = _balance(book.terms.token, address(channels)) - before;
        came[book.terms.token] += arrived;
        book.deposit += arrived;
    }

    /// @dev The rest goes to the client, or waits for it as credit where the token does not move.
    function _refunded(Book storage book, uint256 before) internal {
        address token = book.terms.token;
        uint256 refund = book.deposit - book.claimed;
        book.finished = true;
        if (_moves(token)) _left(token, client, before, refund);
        else clientOwed[token] += refund;
    }

    /// @dev The odd token may keep a part on the way; everybody else gets all.
    function _left(address token, address to, uint256 before, uint256 amount) internal {
        uint256 got = _balance(token, to) - before;
        require(token == address(odd) ? got <= amount : got == amount, "I9: not what was owed");
        gone[token] += amount;
    }

    function _sign(
        bytes32 id,
        uint256 task,
        uint256 jobs,
        uint256 hostAmount,
        uint256 developerAmount
    ) internal view returns (Typed.Row memory row) {
        row = Typed.Row(
            taskId(task),
            uint64(jobs),
            uint96(hostAmount),
            uint96(developerAmount),
            Typed.Signature(0, 0, 0)
        );
        bytes32 hash = keccak256(
            abi.encode(Typed.VOUCHER, id, row.taskId, row.jobs, row.hostAmount, row.developerAmount)
        );
        (row.signature.v, row.signature.r, row.signature.s) = vm.sign(SIGNER_KEY, _digest(hash));
    }

    function _digest(bytes32 structHash) internal view returns (bytes32) {
        bytes32 separator = keccak256(
            abi.encode(Typed.DOMAIN, Typed.NAME, Typed.VERSION, block.chainid, address(channels))
        );
        return keccak256(abi.encodePacked(hex"1901", separator, structHash));
    }

    function _balance(address token, address account) internal view returns (uint256) {
        return token == address(0) ? account.balance : OddToken(token).balanceOf(account);
    }
}
