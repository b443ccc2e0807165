// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Typed} from "../../../contracts/Typed.sol";
import {IChannels} from "../../../contracts/interfaces/IChannels.sol";
import {IHosts} from "../../../contracts/interfaces/IHosts.sol";
import {ITasks} from "../../../contracts/interfaces/ITasks.sol";
import {IChannelsWhole} from "./Market.sol";
import {OddToken} from "./OddToken.sol";
import {Vm} from "./Vm.sol";

/// @notice Does at random what client, host, developer, stranger, an odd token and time can do, and keeps a ledger of its
/// own beside the contract's: what came in, what was paid on each lane, what every party is owed. Where the contract does
/// something that the ledger forbids, a step reverts with words, which fail the run.
contract Handler {
    Vm private constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

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

    uint256 private constant SIGNER_KEY = 0x51;
    uint256 private constant HOST_KEY = 0x40;
    uint256 public constant TASKS = 4;
    /// @dev So that the steps meet each other, and a check after each step stays quick.
    uint256 private constant MAX_CHANNELS = 9;

    IChannelsWhole private immutable channels;
    IHosts private immutable hosts;
    ITasks private immutable tasks;
    address public immutable client;
    address public immutable host;
    address public immutable developer;
    address public immutable cold;
    address[3] public tokens;

    Book[] private books;
    mapping(bytes32 id => mapping(uint256 task => Paid)) private lanes;
    mapping(address token => uint256) public came;
    mapping(address token => uint256) public gone;
    mapping(address token => uint256) public gifts;
    mapping(address token => uint256) public hostOwed;
    mapping(address token => mapping(uint256 task => uint256)) public taskOwed;
    Typed.Row[] private spent;
    uint256[] private spentOn;

    constructor(IChannelsWhole channels_, IHosts hosts_, ITasks tasks_, address plain, address odd) {
        (channels, hosts, tasks) = (channels_, hosts_, tasks_);
        (client, host, developer, cold) = (vm.addr(0xC1), vm.addr(HOST_KEY), vm.addr(0xDE), vm.addr(0xC01D));
        tokens = [address(0), plain, odd];
    }

    function taskId(uint256 task) public pure returns (bytes32) {
        return bytes32(task + 1);
    }

    /// @notice Task 0 is free, task 3 is priced in native currency whatever the channel, the others in each token.
    function feeOf(uint256 task) public pure returns (uint256) {
        return task * 5;
    }

    function open(uint256 tokenSeed, uint256 amount, uint64 delay) external opened {
        if (books.length >= MAX_CHANNELS) return;
        Typed.Terms memory terms = Typed.Terms(
            client,
            vm.addr(SIGNER_KEY),
            host,
            tokens[tokenSeed % 3],
            uint64(15 minutes + (delay % 2 days)),
            bytes32(books.length)
        );
        amount = 1 + (amount % 1e6);
        uint256 before = _balance(terms.token);
        vm.prank(client);
        bytes32 id = channels.open{value: terms.token == address(0) ? amount : 0}(terms, uint96(amount));
        uint256 arrived = _balance(terms.token) - before;
        came[terms.token] += arrived;
        books.push(Book(terms, id, arrived, 0, 0, false));
    }

    function topUp(uint256 channelSeed, uint256 amount) external opened {
        Book storage book = _pick(channelSeed);
        if (book.finished) return;
        amount = 1 + (amount % 1e6);
        uint256 before = _balance(book.terms.token);
        vm.prank(client);
        channels.topUp{value: book.terms.token == address(0) ? amount : 0}(book.terms, uint96(amount));
        uint256 arrived = _balance(book.terms.token) - before;
        came[book.terms.token] += arrived;
        book.deposit += arrived;
    }

    /// @notice A good voucher: above the lane's last one and with the fee covered.
    function claim(uint256 channelSeed, uint256 task, uint256 jobs, uint256 hostMore, uint256 tip) external opened {
        (Book storage book, Paid storage paid) = _lane(channelSeed, task %= TASKS);
        jobs = paid.jobs + (jobs % 50);
        uint256 hostAmount = paid.host + (hostMore % 1e5);
        uint256 due = jobs * feeOf(task);
        uint256 developerAmount = (due > paid.developer ? due : paid.developer) + (tip % 3);
        Typed.Row memory row = _sign(book.id, task, jobs, hostAmount, developerAmount);
        IChannels.Outcome memory outcome = _claim(book, row);
        IChannels.Skip wanted = _judge(book, paid, task, hostAmount + developerAmount);
        require(outcome.skip == wanted, "I8 I24: not what the ledger says of this voucher");
        if (wanted != IChannels.Skip.None) return;
        _book(book, paid, task, jobs, outcome);
        spent.push(row);
        spentOn.push(channelSeed % books.length);
    }

    /// @notice Vouchers that were paid already, sent again.
    function replay(uint256 seed) external opened {
        if (spent.length == 0) return;
        uint256 which = seed % spent.length;
        Book storage book = books[spentOn[which]];
        Typed.Row memory row = spent[which];
        uint256 task = uint256(row.taskId) - 1;
        IChannels.Outcome memory outcome = _claim(book, row);
        // One that was paid in part, for want of deposit, may bring more after a top-up; any other brings nothing.
        if (outcome.skip == IChannels.Skip.None) _book(book, lanes[book.id][task], task, row.jobs, outcome);
    }

    /// @notice Vouchers that nobody signed, or with the developer left out.
    function forge(uint256 channelSeed, uint256 task, uint96 amount, uint8 how) external opened {
        (Book storage book, Paid storage paid) = _lane(channelSeed, task %= TASKS);
        amount %= 1e6;
        Typed.Row memory row = _sign(book.id, task, paid.jobs + 1, paid.host + amount, paid.developer + 1e9);
        if (how % 4 == 0) row.hostAmount += 1;
        else if (how % 4 == 1) row.taskId = taskId((task + 1) % TASKS);
        else if (how % 4 == 2) row.signature.v ^= 7;
        else row = _sign(book.id, task, paid.jobs + 1 + uint32(amount), paid.host + amount, paid.developer);
        if (how % 4 == 3 && feeOf(task) == 0) return;
        IChannels.Outcome memory outcome = _claim(book, row);
        require(outcome.skip != IChannels.Skip.None || paid.developer >= row.jobs * feeOf(task), "I5 I12: paid");
        if (outcome.skip == IChannels.Skip.None) _book(book, paid, task, row.jobs, outcome);
    }

    /// @notice Sound vouchers, claimed by anybody but the host's side: the client for itself above all.
    function steal(uint256 channelSeed, uint256 task, uint96 amount, uint8 who) external opened {
        (Book storage book, Paid storage paid) = _lane(channelSeed, task %= TASKS);
        address[3] memory thieves = [client, vm.addr(SIGNER_KEY), vm.addr(0xBAD)];
        Typed.Row memory row = _sign(book.id, task, paid.jobs + 1, paid.host, paid.developer + 1e9 + (amount % 1e6));
        require(_claimBy(thieves[who % 3], book, row).skip == IChannels.Skip.NotHost, "I8: a stranger claimed");
    }

    function startClose(uint256 channelSeed) external opened {
        Book storage book = _pick(channelSeed);
        if (book.finished || book.closesAt != 0) return;
        vm.prank(client);
        channels.startClose(book.terms);
        book.closesAt = block.timestamp + book.terms.closeDelay;
    }

    /// @notice By anybody, at any time: only after the whole delay may it do anything.
    function finishClose(uint256 channelSeed) external opened {
        Book storage book = _pick(channelSeed);
        bool may = !book.finished && book.closesAt != 0 && block.timestamp >= book.closesAt;
        uint256 before = _balanceOf(book.terms.token, client);
        (bool done, ) = address(channels).call(abi.encodeCall(IChannels.finishClose, (book.terms)));
        require(done == may, "I7: finished when it may not, or not when it may");
        if (done) _refunded(book, before);
    }

    function release(uint256 channelSeed, uint96 agreed) external opened {
        Book storage book = _pick(channelSeed);
        agreed %= uint96(book.claimed + 2);
        if (book.finished || agreed % 3 != 0) return;
        Typed.Signature memory signature;
        bytes32 digest = _digest(Typed.hashRelease(book.id, agreed));
        (signature.v, signature.r, signature.s) = vm.sign(HOST_KEY, digest);
        uint256 before = _balanceOf(book.terms.token, client);
        (bool done, ) = address(channels).call(abi.encodeCall(IChannels.release, (book.terms, agreed, signature)));
        require(done == (agreed <= book.claimed), "released before it was claimed");
        if (done) _refunded(book, before);
    }

    function withdraw(uint256 tokenSeed, bool early) external opened {
        address token = tokens[tokenSeed % 3];
        uint256 owed = hostOwed[token];
        if (owed == 0 || early) return;
        address payee = hosts.payeeOf(host);
        uint256 before = _balanceOf(token, payee);
        channels.withdraw(token, host);
        _left(token, payee, before, owed);
        hostOwed[token] = 0;
    }

    function withdrawTask(uint256 tokenSeed, uint256 task) external opened {
        address token = tokens[tokenSeed % 3];
        uint256 owed = taskOwed[token][task %= TASKS];
        if (owed == 0) return;
        address payee = tasks.payeeOf(taskId(task));
        bytes32[] memory ids = new bytes32[](1);
        ids[0] = taskId(task);
        uint256 before = _balanceOf(token, payee);
        channels.withdrawTasks(token, payee, ids);
        _left(token, payee, before, owed);
        taskOwed[token][task] = 0;
    }

    function gift(uint256 tokenSeed, uint256 amount) external opened {
        address token = tokens[tokenSeed % 3];
        amount %= 1e5;
        if (token == address(0)) vm.deal(address(channels), address(channels).balance + amount);
        else if (token == tokens[2]) OddToken(token).mint(address(channels), amount);
        else return;
        gifts[token] += amount;
    }

    function movePayee(bool toCold) external opened {
        address now_ = hosts.payeeOf(host);
        vm.prank(now_);
        if (now_ == host) hosts.register(cold, "peer", "");
        else hosts.setPayee(host, toCold ? cold : developer);
    }

    function oddFee(uint256 percent) external opened {
        OddToken(tokens[2]).setFee(percent % 50);
    }

    function pass(uint256 time) external opened {
        vm.warp(block.timestamp + (time % 1 days));
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

    /// @dev Before the first channel there is nothing to do but open one.
    modifier opened() {
        if (books.length > 0 || msg.sig == this.open.selector) _;
    }

    function _pick(uint256 seed) private view returns (Book storage) {
        return books[seed % books.length];
    }

    function _lane(uint256 seed, uint256 task) private view returns (Book storage book, Paid storage paid) {
        book = _pick(seed);
        paid = lanes[book.id][task];
    }

    /// @dev What must happen to a well-signed voucher that is above the lane by `total`.
    function _judge(
        Book storage book,
        Paid storage paid,
        uint256 task,
        uint256 total
    ) private view returns (IChannels.Skip) {
        if (book.finished) return IChannels.Skip.FinishedChannel;
        if (book.claimed == book.deposit) return IChannels.Skip.EmptyChannel;
        if (total == paid.host + paid.developer) return IChannels.Skip.Stale;
        (, uint96 fee, address token) = tasks.priceOf(taskId(task));
        return fee != 0 && token != book.terms.token ? IChannels.Skip.WrongToken : IChannels.Skip.None;
    }

    /// @dev By the host or by its payee, as the number of jobs happens to fall.
    function _claim(Book storage book, Typed.Row memory row) private returns (IChannels.Outcome memory) {
        return _claimBy(row.jobs % 2 == 0 ? host : hosts.payeeOf(host), book, row);
    }

    function _claimBy(
        address caller,
        Book storage book,
        Typed.Row memory row
    ) private returns (IChannels.Outcome memory) {
        IChannels.Group[] memory groups = new IChannels.Group[](1);
        groups[0] = IChannels.Group(book.terms, 1);
        Typed.Row[] memory rows = new Typed.Row[](1);
        rows[0] = row;
        vm.prank(caller);
        return channels.claimVouchersAndTell(groups, rows)[0];
    }

    function _book(
        Book storage book,
        Paid storage paid,
        uint256 task,
        uint256 jobs,
        IChannels.Outcome memory outcome
    ) private {
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

    function _refunded(Book storage book, uint256 before) private {
        uint256 refund = book.deposit - book.claimed;
        book.finished = true;
        _left(book.terms.token, client, before, refund);
    }

    /// @dev The odd token may keep a part on the way; everybody else gets all.
    function _left(address token, address to, uint256 before, uint256 amount) private {
        uint256 got = _balanceOf(token, to) - before;
        require(token == tokens[2] ? got <= amount : got == amount, "I9: not what was owed");
        gone[token] += amount;
    }

    function _sign(
        bytes32 id,
        uint256 task,
        uint256 jobs,
        uint256 hostAmount,
        uint256 developerAmount
    ) private view returns (Typed.Row memory row) {
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

    function _digest(bytes32 structHash) private view returns (bytes32) {
        bytes32 separator = keccak256(
            abi.encode(Typed.DOMAIN, Typed.NAME, Typed.VERSION, block.chainid, address(channels))
        );
        return keccak256(abi.encodePacked(hex"1901", separator, structHash));
    }

    function _balance(address token) private view returns (uint256) {
        return _balanceOf(token, address(channels));
    }

    function _balanceOf(address token, address account) private view returns (uint256) {
        return token == address(0) ? account.balance : OddToken(token).balanceOf(account);
    }
}
