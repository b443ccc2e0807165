// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Typed} from "../../contracts/Typed.sol";
import {IChannels} from "../../contracts/interfaces/IChannels.sol";
import {Market} from "./support/Market.sol";
import {OddReceiver, OddToken} from "./support/OddToken.sol";

/// @notice P20: every way in which tokens in the wild differ from the standard, each over a whole life of a channel. A bad
/// token may harm the channels that hold it and nobody else.
contract TokensTest is Market {
    bytes32 private constant TASK = bytes32(uint256(7));
    bytes32 private constant ODD_TASK = bytes32(uint256(8));

    OddToken private odd;
    Typed.Terms private terms;
    bytes32 private id;

    function setUp() public override {
        super.setUp();
        odd = new OddToken();
        odd.mint(client, 1e30);
        vm.prank(client);
        odd.approve(address(channels), type(uint256).max);
        publish(ODD_TASK, 0, address(odd));
        publish(TASK, 3, NATIVE);
        terms = termsIn(address(odd), 1);
    }

    function testFuzz_P20_I14_fee_on_transfer_credits_what_arrived(uint256 percent, uint96 amount) public {
        percent %= 100;
        vm.assume(amount > 100 && amount < 1e29);
        odd.setFee(percent);
        id = open(terms, amount);
        uint256 arrived = amount - (uint256(amount) * percent) / 100;
        vm.assertEq(channels.channel(id).deposit, arrived, "deposit");
        claim(terms, row(id, ODD_TASK, 1, 40, 2));
        channels.release(terms, 0, releaseSigned(id, 0));
        channels.withdraw(address(odd), host);
        channels.withdrawTasks(address(odd), developer, list(ODD_TASK));
        vm.assertEq(odd.balanceOf(address(channels)), 0, "everything went out");
    }

    function test_P20_no_return_value_works() public {
        odd.setReply(OddToken.Reply.None);
        _wholeLife();
    }

    function test_P20_answers_false_deposits_nothing() public {
        odd.setReply(OddToken.Reply.False);
        _expectNoOpening();
    }

    function test_P20_answers_garbage_deposits_nothing() public {
        odd.setReply(OddToken.Reply.Garbage);
        _expectNoOpening();
    }

    function test_P20_address_without_code_deposits_nothing() public {
        terms.token = vm.addr(0xE0A);
        vm.prank(client);
        vm.expectRevert();
        channels.open(terms, 500);
    }

    function test_P20_blocklist_of_the_contract_stops_only_this_token() public {
        id = _claimed();
        odd.setBlocked(address(channels), true);
        channels.release(terms, 0, releaseSigned(id, 0));
        vm.expectRevert();
        channels.withdraw(address(odd), host);
        _nativeGoesOn();
        odd.setBlocked(address(channels), false);
        _allOut();
    }

    function test_P20_blocklist_of_the_client_makes_its_refund_credit() public {
        id = _claimed();
        odd.setBlocked(client, true);
        channels.release(terms, 0, releaseSigned(id, 0));
        vm.assertEq(channels.credit(address(odd), client), 400, "credit");
        vm.prank(client);
        channels.withdrawTo(address(odd), client, stranger);
        vm.assertEq(odd.balanceOf(stranger), 400, "elsewhere");
    }

    function test_P20_blocklist_of_the_developer_waits_for_another_payee() public {
        id = open(terms, 500);
        claim(terms, row(id, ODD_TASK, 1, 100, 7));
        odd.setBlocked(developer, true);
        vm.expectRevert();
        channels.withdrawTasks(address(odd), developer, list(ODD_TASK));
        channels.withdraw(address(odd), host);
        vm.prank(developer);
        tasks.setPayee(ODD_TASK, stranger);
        channels.withdrawTasks(address(odd), stranger, list(ODD_TASK));
        vm.assertEq(odd.balanceOf(stranger), 7, "elsewhere");
    }

    function test_P20_pausing_delays_only_the_way_in_and_out() public {
        id = open(terms, 500);
        odd.setPaused(true);
        vm.prank(client);
        vm.expectRevert();
        channels.topUp(terms, 1);
        assertOutcome(claim(terms, row(id, ODD_TASK, 1, 100, 0)), IChannels.Skip.None, 100, 0);
        channels.release(terms, 0, releaseSigned(id, 0));
        vm.expectRevert();
        channels.withdraw(address(odd), host);
        odd.setPaused(false);
        _allOut();
    }

    function test_P20_rebasing_down_harms_only_its_own_channels() public {
        id = _claimed();
        odd.burn(address(channels), 450);
        channels.release(terms, 0, releaseSigned(id, 0));
        vm.assertEq(channels.credit(address(odd), client), 400, "the refund waits");
        vm.expectRevert();
        channels.withdraw(address(odd), host);
        _nativeGoesOn();
    }

    function test_P20_I15_rebasing_up_credits_nobody() public {
        id = _claimed();
        odd.mint(address(channels), 1000);
        Typed.Terms memory other = termsIn(address(odd), 2);
        bytes32 otherId = open(other, 50);
        vm.assertEq(channels.channel(otherId).deposit, 50, "what arrived, not what is there");
        channels.release(other, 0, releaseSigned(otherId, 0));
        channels.release(terms, 0, releaseSigned(id, 0));
        channels.withdraw(address(odd), host);
        vm.assertEq(odd.balanceOf(address(channels)), 1000, "the growth stays, and harms nobody");
    }

    function test_P20_refusing_zero_never_matters_since_zero_is_never_sent() public {
        odd.setRefusesZero(true);
        id = open(terms, 500);
        claim(terms, row(id, ODD_TASK, 1, 500, 0));
        channels.release(terms, 500, releaseSigned(id, 500));
        channels.withdraw(address(odd), host);
        vm.expectRevert(IChannels.NothingToWithdraw.selector);
        channels.withdraw(address(odd), client);
        vm.assertEq(odd.balanceOf(host), 500, "host");
    }

    function test_P20_I21_refusing_more_than_96_bits_never_matters_since_no_deposit_is_larger() public {
        odd.setMost(type(uint96).max);
        odd.mint(client, type(uint96).max);
        id = open(terms, type(uint96).max);
        claim(terms, row(id, ODD_TASK, 1, type(uint96).max, 0));
        channels.withdraw(address(odd), host);
        vm.assertEq(odd.balanceOf(host), type(uint96).max, "host");
    }

    function test_P20_I21_sending_more_than_asked_stops_at_the_largest_deposit() public {
        odd.setHook(address(odd), abi.encodeCall(OddToken.mint, (address(channels), type(uint96).max)));
        vm.prank(client);
        vm.expectRevert();
        channels.open(terms, 1);
    }

    function test_P20_upgraded_into_a_bad_one_keeps_what_is_claimed_as_credit() public {
        id = _claimed();
        odd.setReply(OddToken.Reply.False);
        channels.release(terms, 0, releaseSigned(id, 0));
        vm.expectRevert();
        channels.withdraw(address(odd), host);
        odd.setReply(OddToken.Reply.True);
        _allOut();
    }

    function test_P20_I16_reentrant_while_it_pays_in_is_counted_once() public {
        terms.host = address(odd);
        id = open(terms, 500);
        bytes memory inner = abi.encodeCall(IChannels.claimVoucher, (terms, row(id, ODD_TASK, 1, 500, 0)));
        odd.setHook(address(channels), inner);
        vm.prank(client);
        channels.topUp(terms, 70);
        vm.assertTrue(odd.hookSucceeded(), "a claim moves only numbers, so it is let in");
        vm.assertEq(channels.channel(id).deposit, 570, "deposit");
        vm.assertEq(channels.channel(id).claimed, 500, "claimed");
        vm.assertEq(channels.credit(address(odd), address(odd)), 500, "credit");
    }

    /// @dev Each inner call works by itself, and none works from inside of any outer one.
    function test_P18_I16_reentrant_in_every_function_from_every_other_gets_nowhere() public {
        bytes[9] memory inner = _prepareInner();
        for (uint256 i = 0; i < inner.length; ++i) {
            uint256 start = vm.snapshotState();
            vm.prank(address(odd));
            (bool alone, ) = address(channels).call(inner[i]);
            vm.assertTrue(alone, string.concat("works by itself: ", vm.toString(i)));
            vm.revertToState(start);
            for (uint256 o = 0; o < inner.length; ++o) {
                odd.setHook(address(channels), inner[i]);
                _outer(o);
                vm.assertEq(uint256(uint160(odd.hook())), 0, "the token was called");
                vm.assertTrue(!odd.hookSucceeded(), string.concat("from ", vm.toString(o), " into ", vm.toString(i)));
                vm.revertToState(start);
                start = vm.snapshotState();
            }
        }
    }

    function test_P18_I16_a_receiver_of_money_gets_in_nowhere() public {
        bytes[9] memory inner = _prepareInner();
        OddReceiver thief = new OddReceiver();
        Typed.Terms memory native = termsIn(NATIVE, 30);
        native.host = address(thief);
        bytes32 nativeId = open(native, 500);
        claim(native, row(nativeId, TASK, 1, 100, 3));
        for (uint256 i = 3; i < inner.length; ++i) {
            if (i == 6 || i == 8) continue;
            uint256 start = vm.snapshotState();
            thief.setCall(address(channels), inner[i]);
            channels.withdraw(NATIVE, address(thief));
            vm.assertTrue(!thief.succeeded(), string.concat("got in: ", vm.toString(i)));
            vm.revertToState(start);
        }
    }

    /// @dev Calls that the odd token itself could make with success.
    function _prepareInner() private returns (bytes[9] memory inner) {
        vm.deal(address(odd), 0);
        vm.prank(client);
        token.transfer(address(odd), 1000);
        vm.prank(address(odd));
        token.approve(address(channels), type(uint256).max);
        Typed.Terms memory own = termsIn(address(token), 20);
        own.client = address(odd);
        Typed.Terms memory permitted = termsIn(address(token), 21);
        Typed.Signature memory authority = sign(CLIENT_KEY, Typed.hashOpen(channels.channelId(permitted), 50));
        Typed.Terms memory live = termsIn(address(token), 22);
        bytes32 liveId = open(live, 500);
        Typed.Terms memory native = termsIn(NATIVE, 23);
        bytes32 nativeId = open(native, 500);
        claim(native, row(nativeId, TASK, 1, 100, 3));
        Typed.Terms memory odds = termsIn(NATIVE, 24);
        odds.host = address(odd);
        bytes32 oddsId = open(odds, 500);
        claim(odds, row(oddsId, TASK, 1, 60, 3));
        vm.prank(client);
        channels.startClose(native);
        id = _claimed();
        claim(terms, row(id, ODD_TASK, 2, 200, 5));
        vm.prank(client);
        channels.startClose(terms);
        vm.warp(block.timestamp + DELAY);
        inner[0] = abi.encodeCall(IChannels.open, (own, 5));
        inner[1] = abi.encodeCall(
            IChannels.openWithPermit,
            (permitted, 50, authority, block.timestamp, Typed.Signature(0, 0, 27))
        );
        inner[2] = abi.encodeCall(IChannels.topUp, (live, 5));
        inner[3] = abi.encodeCall(IChannels.finishClose, (native));
        inner[4] = abi.encodeCall(IChannels.release, (live, 0, releaseSigned(liveId, 0)));
        inner[5] = abi.encodeCall(IChannels.withdraw, (NATIVE, host));
        inner[6] = abi.encodeCall(IChannels.withdrawTo, (NATIVE, address(odd), stranger));
        inner[8] = abi.encodeCall(
            IChannels.topUpWithPermit,
            (live, 5, block.timestamp, Typed.Signature(0, 0, 27))
        );
        inner[7] = abi.encodeCall(IChannels.withdrawTasks, (NATIVE, developer, list(TASK)));
    }

    /// @dev Every function in which the odd token is called.
    function _outer(uint256 which) private {
        Typed.Terms memory fresh = termsIn(address(odd), 40);
        if (which == 0) open(fresh, 10);
        else if (which == 1) {
            Typed.Signature memory authority = sign(CLIENT_KEY, Typed.hashOpen(channels.channelId(fresh), 10));
            channels.openWithPermit(fresh, 10, authority, block.timestamp, Typed.Signature(0, 0, 27));
        } else if (which == 2) {
            vm.prank(client);
            channels.topUp(terms, 10);
        } else if (which == 3) channels.finishClose(terms);
        else if (which == 4) channels.release(terms, 0, releaseSigned(id, 0));
        else if (which == 5) channels.withdraw(address(odd), host);
        else if (which == 6) {
            vm.prank(host);
            channels.withdrawTo(address(odd), host, stranger);
        } else if (which == 7) channels.withdrawTasks(address(odd), developer, list(ODD_TASK));
        else {
            vm.prank(client);
            channels.topUpWithPermit(terms, 10, block.timestamp, Typed.Signature(0, 0, 27));
        }
    }

    function _claimed() private returns (bytes32 made) {
        made = open(terms, 500);
        claim(terms, row(made, ODD_TASK, 1, 100, 0));
    }

    function _expectNoOpening() private {
        vm.prank(client);
        vm.expectRevert();
        channels.open(terms, 500);
    }

    function _allOut() private {
        channels.withdraw(address(odd), host);
        channels.withdraw(address(odd), client);
        vm.assertEq(odd.balanceOf(address(channels)), 0, "everything went out");
        vm.assertEq(odd.balanceOf(host), 100, "host");
    }

    function _nativeGoesOn() private {
        Typed.Terms memory native = termsIn(NATIVE, 9);
        bytes32 nativeId = open(native, 1000);
        assertOutcome(claim(native, row(nativeId, TASK, 1, 100, 3)), IChannels.Skip.None, 100, 3);
        channels.withdraw(NATIVE, host);
        channels.release(native, 103, releaseSigned(nativeId, 103));
    }

    function _wholeLife() private {
        id = open(terms, 500);
        claim(terms, row(id, ODD_TASK, 1, 100, 7));
        channels.withdraw(address(odd), host);
        channels.withdrawTasks(address(odd), developer, list(ODD_TASK));
        channels.release(terms, 107, releaseSigned(id, 107));
        vm.assertEq(odd.balanceOf(host), 100, "host");
        vm.assertEq(odd.balanceOf(developer), 7, "developer");
        vm.assertEq(odd.balanceOf(address(channels)), 0, "nothing stays");
    }
}
