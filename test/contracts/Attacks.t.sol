// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Typed} from "../../contracts/Typed.sol";
import {IChannels} from "../../contracts/interfaces/IChannels.sol";
import {IHosts} from "../../contracts/interfaces/IHosts.sol";
import {ITasks} from "../../contracts/interfaces/ITasks.sol";
import {IChannelsWhole, Market} from "./support/Market.sol";
import {OddReceiver, OddToken} from "./support/OddToken.sol";

/// @notice The payment attacks P1 to P31 and the tokens and accounts that misbehave. Those not here are named with the
/// reason in contracts/README.md.
contract AttacksTest is Market {
    bytes32 private constant TASK = bytes32(uint256(7));
    bytes32 private constant ODD_TASK = bytes32(uint256(8));

    Typed.Terms private terms;
    bytes32 private id;
    OddToken private odd;

    function setUp() public override {
        super.setUp();
        publish(TASK, 3, NATIVE);
        terms = termsIn(NATIVE, 1);
        id = open(terms, 1000);
        odd = new OddToken();
        odd.mint(client, 10_000);
        vm.prank(client);
        odd.approve(address(channels), type(uint256).max);
        publish(ODD_TASK, 0, address(odd));
    }

    function test_P1_I10_a_voucher_of_another_chain_pays_nothing() public {
        Typed.Row memory r = row(id, TASK, 2, 100, 6);
        vm.chainId(block.chainid + 1);
        assertOutcome(claim(terms, r), IChannels.Skip.UnknownChannel, 0, 0);
        vm.assertTrue(channels.channelId(terms) != id, "a fork has other ids");
    }

    function test_P2_I10_a_voucher_of_another_contract_pays_nothing() public {
        Typed.Row memory r = row(id, TASK, 2, 100, 6);
        address foretold = vm.computeCreateAddress(address(this), vm.getNonce(address(this)) + 1);
        IHosts otherHosts = IHosts(vm.deployCode("Hosts.sol:Hosts", abi.encode(foretold)));
        channels = IChannelsWhole(vm.deployCode("Channels.sol:Channels", abi.encode(tasks, otherHosts)));
        open(terms, 1000);
        assertOutcome(claim(terms, r), IChannels.Skip.BadSignature, 0, 0);
    }

    function test_P3_I10_a_voucher_of_another_channel_of_the_same_parties_pays_nothing() public {
        Typed.Terms memory other = termsIn(NATIVE, 2);
        open(other, 1000);
        assertOutcome(claim(other, row(id, TASK, 2, 100, 6)), IChannels.Skip.BadSignature, 0, 0);
    }

    function testFuzz_P4_I12_the_mirrored_signature_is_none(uint256 jobs) public {
        Typed.Row memory r = row(id, TASK, jobs % 100, 300, 300);
        r.signature.s = bytes32(
            0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141 - uint256(r.signature.s)
        );
        r.signature.v = r.signature.v == 27 ? 28 : 27;
        assertOutcome(claim(terms, r), IChannels.Skip.BadSignature, 0, 0);
    }

    function testFuzz_P5_I12_only_v_27_and_28_and_the_signers_own_bytes_count(uint8 v, bytes32 flipR, bytes32 flipS) public {
        Typed.Row memory r = row(id, TASK, 2, 100, 6);
        vm.assume(v != r.signature.v || flipR != 0 || flipS != 0);
        r.signature = Typed.Signature(r.signature.r ^ flipR, r.signature.s ^ flipS, v);
        assertOutcome(claim(terms, r), IChannels.Skip.BadSignature, 0, 0);
    }

    function test_P6_a_signer_that_gets_code_cannot_take_back_what_it_signed() public {
        Typed.Row memory r = row(id, TASK, 2, 100, 6);
        vm.etch(signer, hex"5f5ffd");
        assertOutcome(claim(terms, r), IChannels.Skip.None, 100, 6);
    }

    function test_P7_I3_I11_an_older_voucher_moves_nothing() public {
        Typed.Row memory older = row(id, TASK, 1, 50, 3);
        claim(terms, row(id, TASK, 2, 100, 6));
        assertOutcome(claim(terms, older), IChannels.Skip.Stale, 0, 0);
        vm.assertEq(channels.channel(id).claimed, 106, "claimed");
    }

    function test_P8_I2_I21_a_voucher_far_above_the_deposit_pays_the_deposit() public {
        uint256 most = type(uint96).max;
        assertOutcome(claim(terms, row(id, TASK, type(uint64).max, most, most)), IChannels.Skip.None, 500, 500);
        vm.assertEq(channels.channel(id).claimed, 1000, "claimed");
    }

    function test_P9_a_deposit_serves_one_host() public {
        Typed.Terms memory other = termsIn(NATIVE, 1);
        other.host = stranger;
        bytes32 otherId = channels.channelId(other);
        assertOutcome(claim(other, row(otherId, TASK, 2, 100, 6)), IChannels.Skip.UnknownChannel, 0, 0);
    }

    function test_P10_I14_a_token_that_keeps_a_part_credits_what_arrived() public {
        odd.setFee(10);
        Typed.Terms memory other = termsIn(address(odd), 2);
        bytes32 otherId = open(other, 500);
        vm.assertEq(channels.channel(otherId).deposit, 450, "deposit");
        claim(other, row(otherId, ODD_TASK, 1, 900, 0));
        channels.withdraw(address(odd), host);
        vm.assertEq(odd.balanceOf(address(channels)), 0, "everything went out");
        odd.setFee(100);
        vm.prank(client);
        vm.expectRevert(IChannels.NothingDeposited.selector);
        channels.open(termsIn(address(odd), 3), 500);
    }

    function test_P11_I8_a_close_in_the_middle_of_a_job_leaves_the_whole_delay_to_claim() public {
        vm.prank(client);
        channels.startClose(terms);
        vm.warp(block.timestamp + DELAY - 1);
        assertOutcome(claim(terms, row(id, TASK, 2, 100, 6)), IChannels.Skip.None, 100, 6);
    }

    function test_P14_I23_whoever_claims_in_whatever_order_pays_the_same() public {
        Typed.Terms memory other = termsIn(NATIVE, 2);
        bytes32 otherId = open(other, 1000);
        Typed.Row[3] memory rows = [row(id, TASK, 1, 50, 3), row(id, TASK, 2, 100, 6), row(otherId, TASK, 5, 30, 15)];
        uint256 start = vm.snapshotState();
        uint8[3][6] memory orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
        for (uint256 i = 0; i < orders.length; ++i) {
            for (uint256 j = 0; j < 3; ++j) {
                uint256 k = orders[i][j];
                claim(k == 2 ? other : terms, rows[k]);
            }
            vm.assertEq(channels.credit(NATIVE, host), 130, "host");
            vm.assertEq(channels.taskCredit(NATIVE, TASK), 21, "developer");
            vm.revertToState(start);
        }
    }

    function test_P15_I5_many_small_claims_cannot_round_the_developers_share_away() public {
        bytes32 dear = publish(bytes32(uint256(9)), 1, NATIVE);
        for (uint256 i = 1; i <= 20; ++i) {
            claim(terms, row(id, dear, i, 10 * i, i));
        }
        vm.assertEq(channels.taskCredit(NATIVE, dear), 20, "developer");
        Typed.Terms memory poor = termsIn(NATIVE, 2);
        bytes32 poorId = open(poor, 1);
        for (uint256 i = 1; i <= 20; ++i) {
            claim(poor, row(poorId, dear, 20, 200, 20));
            vm.prank(client);
            channels.topUp{value: 1}(poor, 1);
        }
        vm.assertTrue(channels.lane(poorId, dear).developerAmount >= 2, "at least its share of 20 in 220");
    }

    function test_P18_I16_nobody_gets_in_again_from_a_token() public {
        Typed.Terms memory other = termsIn(address(odd), 2);
        bytes32 otherId = open(other, 500);
        claim(other, row(otherId, ODD_TASK, 1, 100, 0));
        bytes[5] memory calls = [
            abi.encodeCall(IChannels.withdraw, (address(odd), host)),
            abi.encodeCall(IChannels.open, (termsIn(address(odd), 3), 1)),
            abi.encodeCall(IChannels.topUp, (other, 1)),
            abi.encodeCall(IChannels.release, (other, 0, releaseSigned(otherId, 0))),
            abi.encodeCall(IChannels.withdrawTasks, (address(odd), developer, list(ODD_TASK)))
        ];
        for (uint256 i = 0; i < calls.length; ++i) {
            odd.setHook(address(channels), calls[i]);
            vm.prank(client);
            channels.topUp(other, 10);
            vm.assertTrue(!odd.hookSucceeded(), "got in again");
        }
        vm.assertEq(channels.channel(otherId).deposit, 550, "deposit");
    }

    function test_P18_I16_nobody_gets_in_again_from_a_receiver() public {
        OddReceiver thief = new OddReceiver();
        Typed.Terms memory other = termsIn(NATIVE, 2);
        other.host = address(thief);
        bytes32 otherId = open(other, 500);
        claim(other, row(otherId, TASK, 1, 100, 3));
        thief.setCall(address(channels), abi.encodeCall(IChannels.withdraw, (NATIVE, address(thief))));
        channels.withdraw(NATIVE, address(thief));
        vm.assertEq(address(thief).balance, 100, "once");
        vm.assertTrue(!thief.succeeded(), "got in again");
    }

    function test_P19_I9_a_client_that_refuses_its_refund_hinders_nobody() public {
        OddReceiver odder = new OddReceiver();
        vm.deal(address(odder), 1000);
        Typed.Terms memory other = termsIn(NATIVE, 2);
        other.client = address(odder);
        odder.execute(address(channels), 500, abi.encodeCall(IChannels.open, (other, 500)));
        bytes32 otherId = channels.channelId(other);
        claim(other, row(otherId, TASK, 1, 100, 3));
        odder.setRefuses(true);
        vm.expectEmit();
        emit IChannels.Finished(otherId, 397, false);
        channels.release(other, 103, releaseSigned(otherId, 103));
        vm.assertEq(channels.credit(NATIVE, address(odder)), 397, "as credit");
        channels.withdraw(NATIVE, host);
        address elsewhere = vm.addr(0xE15E);
        odder.execute(
            address(channels),
            0,
            abi.encodeCall(IChannels.withdrawTo, (NATIVE, address(odder), elsewhere))
        );
        vm.assertEq(elsewhere.balance, 397, "elsewhere");
    }

    function test_P19_a_client_that_burns_all_gas_hinders_no_claim() public {
        OddReceiver odder = new OddReceiver();
        vm.deal(address(odder), 1000);
        Typed.Terms memory other = termsIn(NATIVE, 2);
        other.client = address(odder);
        odder.execute(address(channels), 500, abi.encodeCall(IChannels.open, (other, 500)));
        bytes32 otherId = channels.channelId(other);
        odder.setWastes(true);
        assertOutcome(claim(other, row(otherId, TASK, 1, 100, 3)), IChannels.Skip.None, 100, 3);
        channels.release{gas: 3_000_000}(other, 103, releaseSigned(otherId, 103));
        vm.assertEq(channels.credit(NATIVE, address(odder)), 397, "as credit");
    }

    function test_P19_a_payee_that_refuses_hinders_only_itself() public {
        OddReceiver odder = new OddReceiver();
        odder.setRefuses(true);
        vm.prank(host);
        hosts.register(address(odder), "peer", "");
        claim(terms, row(id, TASK, 1, 100, 3));
        vm.expectRevert();
        channels.withdraw(NATIVE, host);
        vm.assertEq(channels.credit(NATIVE, host), 100, "stays");
        channels.withdrawTasks(NATIVE, developer, list(TASK));
    }

    function test_P20_tokens_that_answer_nothing_work() public {
        odd.setReply(OddToken.Reply.None);
        _wholeLifeInOdd();
    }

    function test_P20_tokens_that_answer_false_deposit_nothing_and_lose_nothing() public {
        Typed.Terms memory other = termsIn(address(odd), 2);
        bytes32 otherId = open(other, 500);
        claim(other, row(otherId, ODD_TASK, 1, 100, 0));
        odd.setReply(OddToken.Reply.False);
        vm.prank(client);
        vm.expectRevert();
        channels.open(termsIn(address(odd), 3), 500);
        vm.expectRevert();
        channels.withdraw(address(odd), host);
        channels.release(other, 0, releaseSigned(otherId, 0));
        vm.assertEq(channels.credit(address(odd), client), 400, "the refund waits as credit");
        odd.setReply(OddToken.Reply.True);
        channels.withdraw(address(odd), client);
        channels.withdraw(address(odd), host);
        vm.assertEq(odd.balanceOf(address(channels)), 0, "everything went out");
    }

    function test_P20_I8_a_paused_or_blocking_token_delays_only_the_way_out() public {
        Typed.Terms memory other = termsIn(address(odd), 2);
        bytes32 otherId = open(other, 500);
        odd.setPaused(true);
        assertOutcome(claim(other, row(otherId, ODD_TASK, 1, 100, 0)), IChannels.Skip.None, 100, 0);
        channels.release(other, 0, releaseSigned(otherId, 0));
        odd.setPaused(false);
        odd.setBlocked(host, true);
        vm.expectRevert();
        channels.withdraw(address(odd), host);
        channels.withdraw(address(odd), client);
        vm.prank(host);
        channels.withdrawTo(address(odd), host, stranger);
        vm.assertEq(odd.balanceOf(stranger), 100, "elsewhere");
    }

    function test_P20_I1_a_token_that_shrinks_by_itself_harms_only_its_own_channels() public {
        Typed.Terms memory other = termsIn(address(odd), 2);
        bytes32 otherId = open(other, 500);
        odd.burn(address(channels), 300);
        claim(other, row(otherId, ODD_TASK, 1, 400, 0));
        vm.expectRevert();
        channels.withdraw(address(odd), host);
        assertOutcome(claim(terms, row(id, TASK, 1, 100, 3)), IChannels.Skip.None, 100, 3);
        channels.withdraw(NATIVE, host);
    }

    function test_P23_I12_zero_signs_nothing() public {
        Typed.Row memory r = row(id, TASK, 2, 100, 6);
        r.signature = Typed.Signature(0, 0, 27);
        Typed.Terms memory unsigned = termsIn(NATIVE, 5);
        unsigned.signer = address(0);
        assertOutcome(claim(unsigned, r), IChannels.Skip.UnknownChannel, 0, 0);
        assertOutcome(claim(terms, r), IChannels.Skip.BadSignature, 0, 0);
        Typed.Terms memory nobody = termsIn(address(token), 6);
        nobody.client = address(0);
        vm.expectRevert(IChannels.BadSignature.selector);
        channels.openWithPermit(nobody, 5, r.signature, block.timestamp, r.signature);
    }

    function test_P25_I15_gifts_change_nothing() public {
        vm.deal(address(channels), address(channels).balance + 500);
        vm.prank(client);
        token.transfer(address(channels), 500);
        bytes32 other = open(termsIn(address(token), 2), 70);
        vm.assertEq(channels.channel(other).deposit, 70, "deposit");
        vm.assertEq(channels.channel(id).deposit, 1000, "deposit");
        (bool ok, ) = address(channels).call{value: 1}("");
        vm.assertTrue(!ok, "takes no plain money");
    }

    /// @dev This contract deployed the three. There is nothing that it could switch, set or take.
    function test_P26_I17_whoever_deployed_has_no_power() public {
        claim(terms, row(id, TASK, 2, 100, 6));
        Typed.Signature memory none;
        vm.expectRevert(abi.encodeWithSelector(IChannels.NotClient.selector, address(this), client));
        channels.startClose(terms);
        vm.expectRevert(IChannels.BadSignature.selector);
        channels.release(terms, 106, none);
        vm.expectRevert(abi.encodeWithSelector(IChannels.NotPayee.selector, address(this), host));
        channels.withdrawTo(NATIVE, host, address(this));
        vm.expectRevert(abi.encodeWithSelector(ITasks.NotPayee.selector, address(this), developer));
        tasks.setPayee(TASK, address(this));
        vm.expectRevert(abi.encodeWithSelector(ITasks.NotDeveloper.selector, address(this), developer));
        tasks.retire(TASK);
        assertOutcome(
            claimBy(address(this), terms, list(row(id, TASK, 3, 200, 9)))[0],
            IChannels.Skip.NotHost,
            0,
            0
        );
        (bool known, ) = address(channels).call(abi.encodeWithSignature("owner()"));
        vm.assertTrue(!known, "no owner");
        (known, ) = address(channels).call(abi.encodeWithSignature("pause()"));
        vm.assertTrue(!known, "no pause");
    }

    /// @dev A miner can shift a block by seconds; the shortest delay is a quarter of an hour, and it ends no second early.
    function test_P24_I7_shifted_clocks_end_no_delay_early() public {
        Typed.Terms memory other = termsIn(NATIVE, 2);
        other.closeDelay = channels.MIN_CLOSE_DELAY();
        bytes32 otherId = open(other, 500);
        vm.prank(client);
        channels.startClose(other);
        uint64 closesAt = channels.channel(otherId).closesAt;
        vm.warp(block.timestamp + 15 minutes - 15 seconds);
        vm.expectRevert(abi.encodeWithSelector(IChannels.NotYet.selector, closesAt));
        channels.finishClose(other);
        assertOutcome(claim(other, row(otherId, TASK, 2, 100, 6)), IChannels.Skip.None, 100, 6);
    }

    /// @dev Money parts: whatever the numbers, the parts of a claim are the sum, and the developer's is never rounded down.
    function testFuzz_P15_I4_I5_the_parts_of_a_short_claim_are_the_whole(
        uint96 deposit,
        uint96 hostAmount,
        uint96 tip,
        uint32 jobs
    ) public {
        vm.assume(deposit > 0);
        uint256 developerAmount = (uint256(jobs) * 3 + tip) % type(uint96).max;
        vm.assume(developerAmount >= uint256(jobs) * 3 && uint256(hostAmount) + developerAmount > 0);
        Typed.Terms memory other = termsIn(NATIVE, 2);
        bytes32 otherId = open(other, deposit);
        IChannels.Outcome memory got = claim(other, row(otherId, TASK, jobs, hostAmount, developerAmount));
        uint256 due = uint256(hostAmount) + developerAmount;
        uint256 paid = uint256(got.hostPaid) + got.developerPaid;
        vm.assertEq(paid, due < deposit ? due : deposit, "I4: the whole");
        vm.assertEq(channels.channel(otherId).claimed, paid, "I4: claimed");
        vm.assertTrue(uint256(got.developerPaid) * due >= developerAmount * paid, "I5: at least its share");
        vm.assertTrue(uint256(got.developerPaid) * due < developerAmount * paid + due, "and no more than rounding");
    }

    function testFuzz_I3_I11_only_what_grows_is_paid(uint96[4] memory hostAmounts, uint96[4] memory tips) public {
        terms = termsIn(NATIVE, 2);
        id = open(terms, 7e28);
        uint256[2] memory best;
        for (uint256 i = 0; i < 4; ++i) best = _claimed(best, hostAmounts[i] % 1e27, 3 + (uint256(tips[i]) % 1e27));
        vm.assertEq(channels.channel(id).claimed, best[0] + best[1], "I3: the highest");
    }

    /// @dev Returns the highest amounts so far; a voucher that does not grow in both brings nothing.
    function _claimed(uint256[2] memory best, uint256 h, uint256 d) private returns (uint256[2] memory) {
        IChannels.Outcome memory got = claim(terms, row(id, TASK, 1, h, d));
        bool grows = h >= best[0] && d >= best[1] && h + d > best[0] + best[1];
        vm.assertEq(got.hostPaid, grows ? h - best[0] : 0, "host");
        vm.assertEq(got.developerPaid, grows ? d - best[1] : 0, "developer");
        return grows ? [h, d] : best;
    }

    function test_P27_I19_a_batch_is_the_sequence_of_its_rows_and_a_bad_row_harms_no_other() public {
        Typed.Row[] memory rows = new Typed.Row[](4);
        rows[0] = row(id, TASK, 1, 50, 3);
        rows[1] = row(id, TASK, 2, 100, 6);
        rows[1].signature.s = 0;
        rows[2] = row(id, bytes32(uint256(99)), 1, 1, 1);
        rows[3] = row(id, TASK, 4, 200, 12);
        uint256 start = vm.snapshotState();
        IChannels.Outcome[] memory batch = claim(terms, rows);
        vm.revertToState(start);
        for (uint256 i = 0; i < 4; ++i) {
            IChannels.Outcome memory single = claim(terms, rows[i]);
            assertOutcome(batch[i], single.skip, single.hostPaid, single.developerPaid);
        }
        vm.assertEq(channels.channel(id).claimed, 212, "claimed");
    }

    function test_I20_the_gas_of_a_claim_does_not_grow_with_the_market() public {
        Typed.Row memory first = row(id, TASK, 1, 10, 3);
        Typed.Row memory second = row(id, TASK, 2, 20, 6);
        claim(terms, first);
        uint256 start = vm.snapshotState();
        uint256 alone = gasleft();
        claim(terms, second);
        alone -= gasleft();
        vm.revertToState(start);
        for (uint256 i = 10; i < 60; ++i) {
            publish(bytes32(i), i, NATIVE);
            open(termsIn(NATIVE, i), 10);
        }
        uint256 crowded = gasleft();
        claim(terms, second);
        crowded -= gasleft();
        vm.assertLe(crowded, alone + 5000, "gas");
    }

    /// @dev The client signs vouchers itself: one for a task of its own takes the deposit, one on the host's lane makes the
    /// host's stale. Neither may count, or an honest host loses all that it has not claimed yet.
    function test_P31_I8_a_client_cannot_claim_ahead_of_its_host() public {
        Typed.Row memory earned = row(id, TASK, 200, 400, 600);
        bytes32 own = bytes32(uint256(31));
        vm.prank(client);
        tasks.publish(own, 0, NATIVE, client, "own", "1");
        Typed.Row[] memory bad = new Typed.Row[](2);
        bad[0] = row(id, own, 1, 0, 1000);
        bad[1] = row(id, TASK, type(uint64).max, 0, type(uint96).max);
        address[3] memory thieves = [client, signer, developer];
        for (uint256 i = 0; i < 3; ++i) {
            IChannels.Outcome[] memory outcomes = claimBy(thieves[i], terms, bad);
            assertOutcome(outcomes[0], IChannels.Skip.NotHost, 0, 0);
            assertOutcome(outcomes[1], IChannels.Skip.NotHost, 0, 0);
        }
        Typed.Group[] memory groups = list(group(terms, 2));
        bytes[] memory calls = new bytes[](1);
        calls[0] = abi.encodeCall(IChannels.claimVouchers, (host, NATIVE, groups, bad));
        vm.prank(client);
        channels.multicall(calls);
        vm.assertEq(channels.channel(id).claimed, 0, "nothing was taken");
        assertOutcome(claim(terms, earned), IChannels.Skip.None, 400, 600);
    }

    function _wholeLifeInOdd() private {
        Typed.Terms memory other = termsIn(address(odd), 2);
        bytes32 otherId = open(other, 500);
        claim(other, row(otherId, ODD_TASK, 1, 100, 7));
        channels.withdraw(address(odd), host);
        channels.withdrawTasks(address(odd), developer, list(ODD_TASK));
        channels.release(other, 107, releaseSigned(otherId, 107));
        vm.assertEq(odd.balanceOf(host), 100, "host");
        vm.assertEq(odd.balanceOf(developer), 7, "developer");
        vm.assertEq(odd.balanceOf(client), 9893, "client");
        vm.assertEq(odd.balanceOf(address(channels)), 0, "nothing stays");
    }
}
