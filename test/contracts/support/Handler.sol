// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Typed} from "../../../contracts/Typed.sol";
import {IChannels} from "../../../contracts/interfaces/IChannels.sol";
import {IHosts} from "../../../contracts/interfaces/IHosts.sol";
import {ITasks} from "../../../contracts/interfaces/ITasks.sol";
import {Ledger} from "./Ledger.sol";
import {IChannelsWhole} from "./Market.sol";
import {OddToken} from "./OddToken.sol";

/// @notice Does at random what client, host, developer, stranger, an odd token and time can do; the first word of each
/// step says who. Where the contract does something that the ledger forbids, a step reverts with words, which fail the
/// run. A step that has nothing to do says so by `assume`, so that it is not counted.
contract Handler is Ledger {
    /// @dev So that the steps meet each other, and a check after a step stays quick.
    uint256 private constant MAX_CHANNELS = 9;

    Typed.Row[] private spent;
    uint256[] private spentOn;

    constructor(
        IChannelsWhole channels_,
        IHosts hosts_,
        ITasks tasks_,
        address plain,
        OddToken odd_
    ) Ledger(channels_, hosts_, tasks_, plain, odd_) {}

    function client_opens(uint256 tokenSeed, uint256 amount, uint64 delay) external {
        vm.assume(books.length < MAX_CHANNELS);
        Typed.Terms memory terms = Typed.Terms(
            client,
            vm.addr(SIGNER_KEY),
            host,
            tokens[tokenSeed % 3],
            uint64(15 minutes + (delay % 2 days)),
            bytes32(books.length)
        );
        vm.assume(_moves(terms.token));
        amount = 1 + (amount % 1e6);
        uint256 before = _balance(terms.token, address(channels));
        vm.prank(client);
        bytes32 id = channels.open{value: terms.token == address(0) ? amount : 0}(terms, uint96(amount));
        books.push(Book(terms, id, 0, 0, 0, false));
        _came(books[books.length - 1], before);
    }

    function client_starts_to_close(uint256 channelSeed) external {
        Book storage book = _pick(channelSeed);
        vm.assume(!book.finished && book.closesAt == 0);
        vm.prank(client);
        channels.startClose(book.terms);
        book.closesAt = block.timestamp + book.terms.closeDelay;
    }

    /// @notice Refunds that the token did not move wait as credit.
    function client_withdraws() external {
        address token = address(odd);
        uint256 owed = clientOwed[token];
        vm.assume(owed != 0 && _moves(token));
        uint256 before = _balance(token, client);
        channels.withdraw(token, client);
        _left(token, client, before, owed);
        clientOwed[token] = 0;
    }

    /// @notice Sound vouchers, claimed by anybody but the host's side: the client for itself above all.
    function client_steals(uint256 channelSeed, uint256 task, uint96 amount, uint8 who) external {
        Book storage book = _pick(channelSeed);
        Paid storage paid = lanes[book.id][task %= TASKS];
        address[4] memory thieves = [client, vm.addr(SIGNER_KEY), developer, stranger];
        vm.assume(thieves[who % 4] != hosts.payeeOf(host));
        Typed.Row memory row = _sign(book.id, task, paid.jobs + 1, paid.host, paid.developer + 1e9 + (amount % 1e6));
        require(_claimBy(thieves[who % 4], book, row).skip == IChannels.Skip.NotHost, "I8: a stranger claimed");
    }

    /// @notice A good voucher: above the lane's last one and with the fee covered.
    function host_claims(
        uint256 channelSeed,
        uint256 task,
        uint256 jobs,
        uint256 hostMore,
        uint256 tip
    ) external {
        Book storage book = _pick(channelSeed);
        Typed.Row memory row = _next(book, task %= TASKS, jobs, hostMore, tip);
        _expect(book, task, row, _claim(book, row));
        spent.push(row);
        spentOn.push(channelSeed % books.length);
    }

    /// @notice Rows of two channels in one transaction: each is what it would be by itself.
    function host_claims_many(uint256 seed, uint256 jobs, uint256 hostMore) external {
        vm.assume(books.length > 1);
        uint256 first = seed % books.length;
        address token = books[first].terms.token;
        uint256 second = (first + 1) % books.length;
        while (books[second].terms.token != token) second = (second + 1) % books.length;
        vm.assume(second != first);
        uint256[2] memory which = [first, second];
        Typed.Group[] memory groups = new Typed.Group[](2);
        Typed.Row[] memory rows = new Typed.Row[](4);
        for (uint256 i = 0; i < 4; ++i) {
            Book storage book = books[which[i / 2]];
            groups[i / 2] = _group(book.terms, 2);
            rows[i] = _next(book, _taskOf(seed, i), jobs, hostMore >> (i * 8), i);
        }
        vm.prank(host);
        IChannels.Outcome[] memory outcomes = channels.claimVouchersAndTell(host, token, groups, rows);
        for (uint256 i = 0; i < 4; ++i) _expect(books[which[i / 2]], _taskOf(seed, i), rows[i], outcomes[i]);
    }

    /// @notice One row by itself. It tells nothing, so what it did is read off the lane.
    function host_claims_one(uint256 channelSeed, uint256 task, uint256 jobs, uint256 hostMore) external {
        Book storage book = _pick(channelSeed);
        Typed.Row memory row = _next(book, task %= TASKS, jobs, hostMore, 0);
        IChannels.Lane memory before = channels.lane(book.id, row.taskId);
        vm.prank(host);
        channels.claimVoucher(book.terms, row);
        IChannels.Lane memory now_ = channels.lane(book.id, row.taskId);
        uint96 toHost = now_.hostAmount - before.hostAmount;
        uint96 toDeveloper = now_.developerAmount - before.developerAmount;
        uint256 total = uint256(row.hostAmount) + row.developerAmount;
        IChannels.Skip skip = _judge(book, lanes[book.id][task], task, total);
        require((skip == IChannels.Skip.None) == (toHost + toDeveloper != 0), "I8: paid, or not, against the ledger");
        _expect(book, task, row, IChannels.Outcome(skip, toHost, toDeveloper));
    }

    /// @notice Vouchers that were claimed already, sent again.
    function host_replays(uint256 seed) external {
        vm.assume(spent.length != 0);
        uint256 which = seed % spent.length;
        Book storage book = books[spentOn[which]];
        Typed.Row memory row = spent[which];
        IChannels.Outcome memory outcome = _claim(book, row);
        // One that was paid in part, for want of deposit, may bring more after a top-up; any other brings nothing.
        if (outcome.skip == IChannels.Skip.None) _book(book, uint256(row.taskId) - 1, row.jobs, outcome);
    }

    function host_releases(uint256 channelSeed, uint96 agreed) external {
        Book storage book = _pick(channelSeed);
        agreed %= uint96(book.claimed + 2);
        // Now and then only, or all channels are soon over.
        vm.assume(!book.finished && agreed % 3 == 0);
        Typed.Signature memory signature;
        bytes32 digest = _digest(Typed.hashRelease(book.id, agreed));
        (signature.v, signature.r, signature.s) = vm.sign(HOST_KEY, digest);
        uint256 before = _balance(book.terms.token, client);
        (bool done, ) = address(channels).call(abi.encodeCall(IChannels.release, (book.terms, agreed, signature)));
        require(done == (agreed <= book.claimed), "released before it was claimed");
        if (done) _refunded(book, before);
    }

    function host_withdraws(uint256 tokenSeed) external {
        address token = tokens[tokenSeed % 3];
        uint256 owed = hostOwed[token];
        vm.assume(owed != 0);
        address payee = hosts.payeeOf(host);
        uint256 before = _balance(token, payee);
        (bool done, ) = address(channels).call(abi.encodeCall(IChannels.withdraw, (token, host)));
        require(done == _moves(token), "I9: withdrawn from a token that stands still, or not from one that moves");
        if (!done) return;
        _left(token, payee, before, owed);
        hostOwed[token] = 0;
    }

    function host_moves_payee(bool toCold) external {
        address now_ = hosts.payeeOf(host);
        vm.prank(now_);
        if (now_ == host) hosts.register(cold, "peer", "");
        else hosts.setPayee(host, toCold ? cold : developer);
    }

    function developer_withdraws(uint256 tokenSeed, uint256 task) external {
        address token = tokens[tokenSeed % 3];
        uint256 owed = taskOwed[token][task %= TASKS];
        vm.assume(owed != 0 && _moves(token));
        address payee = tasks.payeeOf(taskId(task));
        bytes32[] memory ids = new bytes32[](1);
        ids[0] = taskId(task);
        uint256 before = _balance(token, payee);
        channels.withdrawTasks(token, payee, ids);
        _left(token, payee, before, owed);
        taskOwed[token][task] = 0;
    }

    function developer_moves_payee(uint256 task, bool toCold) external {
        address payee = tasks.payeeOf(taskId(task %= TASKS));
        vm.prank(payee);
        tasks.setPayee(taskId(task), toCold ? cold : developer);
    }

    /// @notice A retired task still pays for what was vouched.
    function developer_retires(uint256 task) external {
        vm.assume(!tasks.get(taskId(task %= TASKS)).retired);
        vm.prank(developer);
        tasks.retire(taskId(task));
    }

    function stranger_tops_up(uint256 channelSeed, uint256 amount, bool byClient) external {
        Book storage book = _pick(channelSeed);
        address token = book.terms.token;
        vm.assume(!book.finished && _moves(token));
        amount = 1 + (amount % 1e6);
        uint256 before = _balance(token, address(channels));
        vm.prank(byClient ? client : stranger);
        channels.topUp{value: token == address(0) ? amount : 0}(book.terms, uint96(amount));
        _came(book, before);
    }

    /// @notice Vouchers that nobody signed, or with the developer left out.
    function stranger_forges(uint256 channelSeed, uint256 task, uint96 amount, uint8 how) external {
        Book storage book = _pick(channelSeed);
        Paid storage paid = lanes[book.id][task %= TASKS];
        vm.assume(how % 4 != 3 || feeOf(task) != 0);
        amount %= 1e6;
        Typed.Row memory row = _sign(book.id, task, paid.jobs + 1, paid.host + amount, paid.developer + 1e9);
        if (how % 4 == 0) row.hostAmount += 1;
        else if (how % 4 == 1) row.taskId = taskId((task + 1) % TASKS);
        else if (how % 4 == 2) row.signature.v ^= 7;
        else row = _sign(book.id, task, paid.jobs + 1 + uint32(amount), paid.host + amount, paid.developer);
        IChannels.Outcome memory outcome = _claim(book, row);
        require(outcome.skip != IChannels.Skip.None || paid.developer >= row.jobs * feeOf(task), "I5 I12: paid");
        if (outcome.skip == IChannels.Skip.None) _book(book, task, row.jobs, outcome);
    }

    /// @notice By anybody, at any time: only after the whole delay may it do anything.
    function stranger_finishes(uint256 channelSeed) external {
        Book storage book = _pick(channelSeed);
        bool may = !book.finished && book.closesAt != 0 && block.timestamp >= book.closesAt;
        uint256 before = _balance(book.terms.token, client);
        vm.prank(stranger);
        (bool done, ) = address(channels).call(abi.encodeCall(IChannels.finishClose, (book.terms)));
        require(done == may, "I7: finished when it may not, or not when it may");
        if (done) _refunded(book, before);
    }

    function stranger_gives(uint256 tokenSeed, uint256 amount) external {
        address token = tokens[tokenSeed % 3];
        amount %= 1e5;
        if (token == address(0)) vm.deal(address(channels), address(channels).balance + amount);
        else if (token == address(odd)) odd.mint(address(channels), amount);
        else vm.assume(false);
        gifts[token] += amount;
    }

    function token_keeps_a_part(uint256 percent) external {
        odd.setFee(percent % 50);
    }

    function token_pauses(uint8 seed) external {
        odd.setPaused(seed % 4 == 0);
    }

    function token_answers_otherwise(uint8 seed) external {
        odd.setReply(seed % 4 == 0 ? OddToken.Reply.False : seed % 4 == 1 ? OddToken.Reply.None : OddToken.Reply.True);
    }

    /// @notice At its next transfer it calls back in; were it let, the ledger would no longer fit.
    function token_calls_back(uint256 channelSeed, uint8 how) external {
        Book storage book = _pick(channelSeed);
        bytes[4] memory calls = [
            abi.encodeCall(IChannels.withdraw, (address(0), host)),
            abi.encodeCall(IChannels.withdraw, (address(odd), host)),
            abi.encodeCall(IChannels.finishClose, (book.terms)),
            abi.encodeCall(IChannels.topUp, (book.terms, 1))
        ];
        odd.setHook(address(channels), calls[how % 4]);
    }

    function time_passes(uint256 time) external {
        vm.warp(block.timestamp + (time % 1 days));
    }

    function _pick(uint256 seed) private view returns (Book storage) {
        return books[seed % books.length];
    }

    /// @dev A voucher above the lane's last one, with the fee covered.
    function _next(
        Book storage book,
        uint256 task,
        uint256 jobs,
        uint256 hostMore,
        uint256 tip
    ) private view returns (Typed.Row memory) {
        Paid storage paid = lanes[book.id][task];
        jobs = paid.jobs + (jobs % 50);
        uint256 due = jobs * feeOf(task);
        uint256 developerAmount = (due > paid.developer ? due : paid.developer) + (tip % 3);
        return _sign(book.id, task, jobs, paid.host + (hostMore % 1e5), developerAmount);
    }

    /// @dev The row did what the ledger says of it, which is then written down.
    function _expect(
        Book storage book,
        uint256 task,
        Typed.Row memory row,
        IChannels.Outcome memory outcome
    ) private {
        IChannels.Skip wanted = _judge(book, lanes[book.id][task], task, uint256(row.hostAmount) + row.developerAmount);
        require(outcome.skip == wanted, "I8 I24: not what the ledger says of this voucher");
        if (wanted == IChannels.Skip.None) _book(book, task, row.jobs, outcome);
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
        Typed.Group[] memory groups = new Typed.Group[](1);
        groups[0] = _group(book.terms, 1);
        Typed.Row[] memory rows = new Typed.Row[](1);
        rows[0] = row;
        vm.prank(caller);
        return channels.claimVouchersAndTell(book.terms.host, book.terms.token, groups, rows)[0];
    }

    /// @dev Two tasks in each of two channels, of which both, one or none are the same.
    function _taskOf(uint256 seed, uint256 index) private pure returns (uint256) {
        return (index < 2 ? index : index - 2 + ((seed >> 128) % 3)) % TASKS;
    }

    function _group(Typed.Terms memory terms, uint256 rows) private pure returns (Typed.Group memory) {
        return Typed.Group(terms.client, terms.signer, terms.closeDelay, terms.salt, rows);
    }
}
