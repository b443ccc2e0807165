// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Typed} from "../../contracts/Typed.sol";
import {IChannels} from "../../contracts/interfaces/IChannels.sol";
import {Market} from "./support/Market.sol";

/// @notice Every branch of every function of Channels; Channels.tree lists them.
contract ChannelsTest is Market {
    bytes32 private constant TASK = bytes32(uint256(7));
    uint256 private constant FEE = 3;

    Typed.Terms private terms;
    bytes32 private id;

    function setUp() public override {
        super.setUp();
        publish(TASK, FEE, NATIVE);
        terms = termsIn(NATIVE, 1);
        id = open(terms, 1000);
    }

    // constructor

    function test_constructor_refuses_hosts_that_name_another_contract() public {
        address other = vm.deployCode("Hosts.sol:Hosts", abi.encode(address(1)));
        vm.expectRevert();
        vm.deployCode("Channels.sol:Channels", abi.encode(tasks, other));
    }

    // open

    function test_open_takes_the_value_and_announces_the_terms() public {
        Typed.Terms memory other = termsIn(NATIVE, 2);
        vm.expectEmit();
        emit IChannels.Opened(channels.channelId(other), client, host, other, 50);
        bytes32 made = open(other, 50);
        vm.assertEq(made, channels.channelId(other), "id");
        _assertChannel(made, 50, 0, 0);
        vm.assertEq(address(channels).balance, 1050, "balance");
    }

    function test_open_takes_a_token_by_allowance() public {
        uint256 before = token.balanceOf(client);
        bytes32 made = open(termsIn(address(token), 2), 50);
        _assertChannel(made, 50, 0, 0);
        vm.assertEq(before - token.balanceOf(client), 50, "paid");
    }

    function test_open_refuses_anybody_but_the_client() public {
        Typed.Terms memory other = termsIn(NATIVE, 2);
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(IChannels.NotClient.selector, stranger, client));
        channels.open{value: 5}(other, 5);
    }

    function test_open_refuses_a_missing_signer_or_host() public {
        Typed.Terms memory other = termsIn(NATIVE, 2);
        other.signer = address(0);
        _expectOpenReverts(other, 5, 5, abi.encodeWithSelector(IChannels.ZeroParty.selector));
        other = termsIn(NATIVE, 2);
        other.host = address(0);
        _expectOpenReverts(other, 5, 5, abi.encodeWithSelector(IChannels.ZeroParty.selector));
    }

    function test_open_refuses_delays_out_of_bounds() public {
        Typed.Terms memory other = termsIn(NATIVE, 2);
        other.closeDelay = channels.MIN_CLOSE_DELAY() - 1;
        _expectOpenReverts(other, 5, 5, abi.encodeWithSelector(IChannels.BadCloseDelay.selector, other.closeDelay));
        other.closeDelay = channels.MAX_CLOSE_DELAY() + 1;
        _expectOpenReverts(other, 5, 5, abi.encodeWithSelector(IChannels.BadCloseDelay.selector, other.closeDelay));
        other.closeDelay = channels.MAX_CLOSE_DELAY();
        open(other, 1);
        other.closeDelay = channels.MIN_CLOSE_DELAY();
        open(other, 1);
    }

    function test_I6_open_refuses_an_id_that_is_or_was_in_use() public {
        bytes memory reason = abi.encodeWithSelector(IChannels.AlreadyOpened.selector, id);
        _expectOpenReverts(terms, 5, 5, reason);
        channels.release(terms, 0, releaseSigned(id, 0));
        _expectOpenReverts(terms, 5, 5, reason);
    }

    function test_open_refuses_value_that_is_not_the_amount() public {
        bytes4 reason = IChannels.WrongValue.selector;
        _expectOpenReverts(termsIn(NATIVE, 2), 5, 4, abi.encodeWithSelector(reason, 4, 5));
        _expectOpenReverts(termsIn(address(token), 2), 5, 4, abi.encodeWithSelector(reason, 4, 0));
        _expectOpenReverts(termsIn(NATIVE, 2), 0, 0, abi.encodeWithSelector(IChannels.NothingDeposited.selector));
    }

    function test_I21_open_and_top_up_stop_at_the_largest_deposit() public {
        uint96 most = type(uint96).max;
        vm.deal(client, uint256(most) * 2);
        Typed.Terms memory other = termsIn(NATIVE, 2);
        bytes32 made = open(other, most);
        _assertChannel(made, most, 0, 0);
        vm.prank(client);
        vm.expectRevert(abi.encodeWithSelector(IChannels.DepositTooLarge.selector, uint256(most) + 1));
        channels.topUp{value: 1}(other, 1);
    }

    function test_views_name_the_domain_the_delays_and_the_other_contracts() public view {
        (, string memory name, string memory version, uint256 chain, address where, , ) = channels.eip712Domain();
        vm.assertEq(name, "MECA", "name");
        vm.assertEq(version, "1", "version");
        vm.assertEq(chain, block.chainid, "chain");
        vm.assertEq(where, address(channels), "contract");
        vm.assertEq(channels.TASKS(), address(tasks), "tasks");
        vm.assertEq(channels.HOSTS(), address(hosts), "hosts");
        vm.assertEq(channels.MIN_CLOSE_DELAY(), 15 minutes, "shortest delay");
        vm.assertEq(channels.MAX_CLOSE_DELAY(), 30 days, "longest delay");
    }

    // openWithPermit

    function test_openWithPermit_opens_for_a_client_without_gas() public {
        Typed.Terms memory other = termsIn(address(token), 2);
        _withoutAllowance();
        bytes32 made = _relay(other, 50, 50, CLIENT_KEY);
        _assertChannel(made, 50, 0, 0);
        vm.assertEq(token.allowance(client, address(channels)), 0, "allowance left");
    }

    function test_P21_openWithPermit_works_when_the_permit_was_sent_ahead() public {
        Typed.Terms memory other = termsIn(address(token), 2);
        _withoutAllowance();
        Typed.Signature memory authority = sign(CLIENT_KEY, Typed.hashOpen(channels.channelId(other), 50));
        Typed.Signature memory p = _permit(50, block.timestamp);
        vm.prank(stranger);
        token.permit(client, address(channels), 50, block.timestamp, p.v, p.r, p.s);
        vm.expectRevert();
        token.permit(client, address(channels), 50, block.timestamp, p.v, p.r, p.s);
        bytes32 made = channels.openWithPermit(other, 50, authority, block.timestamp, p);
        _assertChannel(made, 50, 0, 0);
    }

    function test_openWithPermit_refuses_other_terms_or_amounts_than_the_client_signed() public {
        Typed.Terms memory other = termsIn(address(token), 2);
        _withoutAllowance();
        vm.expectRevert(IChannels.BadSignature.selector);
        this.relay(other, 49, 50, CLIENT_KEY);
        vm.expectRevert(IChannels.BadSignature.selector);
        this.relay(other, 50, 50, STRANGER_KEY);
        other.client = address(0);
        vm.expectRevert(IChannels.BadSignature.selector);
        this.relay(other, 50, 50, CLIENT_KEY);
    }

    function test_openWithPermit_refuses_without_any_allowance_and_native_currency() public {
        _withoutAllowance();
        Typed.Terms memory other = termsIn(address(token), 2);
        Typed.Signature memory authority = sign(CLIENT_KEY, Typed.hashOpen(channels.channelId(other), 50));
        vm.expectRevert();
        channels.openWithPermit(other, 50, authority, block.timestamp, Typed.Signature(0, 0, 27));
        vm.expectRevert();
        this.relay(termsIn(NATIVE, 3), 50, 50, CLIENT_KEY);
    }

    // topUp

    function test_P13_I7_topUp_by_anybody_adds_and_touches_no_timer() public {
        vm.prank(client);
        channels.startClose(terms);
        uint64 closesAt = channels.channel(id).closesAt;
        vm.warp(block.timestamp + 600);
        vm.expectEmit();
        emit IChannels.ToppedUp(id, 5, 1005);
        vm.prank(stranger);
        channels.topUp{value: 5}(terms, 5);
        _assertChannel(id, 1005, 0, closesAt);
    }

    function test_topUp_refuses_channels_that_are_not_live() public {
        Typed.Terms memory other = termsIn(NATIVE, 2);
        vm.expectRevert(abi.encodeWithSelector(IChannels.NotOpened.selector, channels.channelId(other)));
        channels.topUp(other, 0);
        channels.release(terms, 0, releaseSigned(id, 0));
        vm.expectRevert(abi.encodeWithSelector(IChannels.AlreadyFinished.selector, id));
        channels.topUp(terms, 0);
        Typed.Terms memory third = termsIn(NATIVE, 3);
        open(third, 1);
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(IChannels.WrongValue.selector, 1, 2));
        channels.topUp{value: 1}(third, 2);
    }

    // topUpWithPermit

    function test_topUpWithPermit_adds_without_an_approval() public {
        Typed.Terms memory inToken = termsIn(address(token), 2);
        bytes32 made = open(inToken, 50);
        _withoutAllowance();
        Typed.Signature memory p = _permit(7, block.timestamp);
        vm.expectEmit();
        emit IChannels.ToppedUp(made, 7, 57);
        vm.prank(client);
        channels.topUpWithPermit(inToken, 7, block.timestamp, p);
        _assertChannel(made, 57, 0, 0);
        vm.assertEq(token.allowance(client, address(channels)), 0, "allowance left");
    }

    function test_P21_topUpWithPermit_works_when_the_permit_was_sent_ahead() public {
        Typed.Terms memory inToken = termsIn(address(token), 2);
        bytes32 made = open(inToken, 50);
        _withoutAllowance();
        Typed.Signature memory p = _permit(7, block.timestamp);
        vm.prank(stranger);
        token.permit(client, address(channels), 7, block.timestamp, p.v, p.r, p.s);
        vm.prank(client);
        channels.topUpWithPermit(inToken, 7, block.timestamp, p);
        _assertChannel(made, 57, 0, 0);
    }

    /// @dev Money comes from the caller alone: who finds the permit can neither spend it nor aim it at another channel.
    function test_P21_topUpWithPermit_takes_no_permit_but_the_callers() public {
        Typed.Terms memory inToken = termsIn(address(token), 2);
        bytes32 made = open(inToken, 50);
        _withoutAllowance();
        Typed.Signature memory p = _permit(7, block.timestamp);
        vm.prank(stranger);
        token.approve(address(channels), 0);
        uint256 before = token.balanceOf(client);
        vm.prank(stranger);
        vm.expectRevert();
        channels.topUpWithPermit(inToken, 7, block.timestamp, p);
        vm.prank(client);
        vm.expectRevert();
        channels.topUpWithPermit(inToken, 8, block.timestamp, p);
        vm.assertEq(token.balanceOf(client), before, "client");
        _assertChannel(made, 50, 0, 0);
    }

    function test_topUpWithPermit_by_anybody_pays_with_its_own_permit() public {
        Typed.Terms memory inToken = termsIn(address(token), 2);
        bytes32 made = open(inToken, 50);
        vm.prank(stranger);
        token.approve(address(channels), 0);
        Typed.Signature memory p = _permitBy(stranger, STRANGER_KEY, 7, block.timestamp);
        vm.prank(stranger);
        channels.topUpWithPermit(inToken, 7, block.timestamp, p);
        _assertChannel(made, 57, 0, 0);
    }

    function test_topUpWithPermit_refuses_native_currency_and_channels_that_are_not_live() public {
        Typed.Signature memory none = Typed.Signature(0, 0, 27);
        vm.prank(client);
        vm.expectRevert();
        channels.topUpWithPermit(terms, 7, block.timestamp, none);
        Typed.Terms memory inToken = termsIn(address(token), 2);
        bytes32 made = channels.channelId(inToken);
        vm.prank(client);
        vm.expectRevert(abi.encodeWithSelector(IChannels.NotOpened.selector, made));
        channels.topUpWithPermit(inToken, 7, block.timestamp, none);
        open(inToken, 50);
        channels.release(inToken, 0, releaseSigned(made, 0));
        vm.prank(client);
        vm.expectRevert(abi.encodeWithSelector(IChannels.AlreadyFinished.selector, made));
        channels.topUpWithPermit(inToken, 7, block.timestamp, none);
    }

    // claimVouchers

    function test_claim_credits_host_and_developer_and_announces_it() public {
        vm.expectEmit();
        emit IChannels.Claimed(id, TASK, 100, 6);
        assertOutcome(claim(terms, row(id, TASK, 2, 100, 6)), IChannels.Skip.None, 100, 6);
        _assertChannel(id, 1000, 106, 0);
        _assertCredits(100, 6);
        IChannels.Lane memory lane = channels.lane(id, TASK);
        vm.assertEq(lane.jobs, 2, "jobs");
        vm.assertEq(lane.hostAmount, 100, "host");
        vm.assertEq(lane.developerAmount, 6, "developer");
    }

    function test_claim_without_telling_does_the_same() public {
        vm.prank(host);
        channels.claimVouchers(host, NATIVE, list(group(terms, 1)), list(row(id, TASK, 2, 100, 6)));
        _assertChannel(id, 1000, 106, 0);
        _assertCredits(100, 6);
    }

    function test_claim_of_several_channels_shares_one_list_of_rows_out() public {
        Typed.Terms memory other = termsIn(NATIVE, 2);
        bytes32 otherId = open(other, 500);
        Typed.Group[] memory groups = new Typed.Group[](3);
        (groups[0], groups[1], groups[2]) = (group(terms, 2), group(terms, 0), group(other, 1));
        Typed.Row[] memory rows = new Typed.Row[](3);
        rows[0] = row(id, TASK, 1, 10, 3);
        rows[1] = row(id, TASK, 2, 20, 6);
        rows[2] = row(otherId, TASK, 1, 50, 3);
        vm.prank(host);
        IChannels.Outcome[] memory outcomes = channels.claimVouchersAndTell(host, NATIVE, groups, rows);
        assertOutcome(outcomes[0], IChannels.Skip.None, 10, 3);
        assertOutcome(outcomes[1], IChannels.Skip.None, 10, 3);
        assertOutcome(outcomes[2], IChannels.Skip.None, 50, 3);
        _assertCredits(70, 9);
    }

    function test_claim_refuses_groups_that_name_more_rows_than_there_are() public {
        Typed.Group[] memory groups = list(group(terms, 2));
        Typed.Row[] memory one = list(row(id, TASK, 2, 100, 6));
        vm.prank(host);
        vm.expectRevert();
        channels.claimVouchers(host, NATIVE, groups, one);
        vm.prank(stranger);
        vm.expectRevert();
        channels.claimVouchers(host, NATIVE, groups, one);
    }

    function test_claim_by_anybody_but_the_hosts_side_is_skipped_and_harms_no_other_channel() public {
        Typed.Terms memory foreign = termsIn(NATIVE, 2);
        foreign.host = stranger;
        bytes32 foreignId = open(foreign, 500);
        vm.expectEmit();
        emit IChannels.Skipped(id, TASK, IChannels.Skip.NotHost);
        assertOutcome(claimBy(stranger, terms, list(row(id, TASK, 2, 100, 6)))[0], IChannels.Skip.NotHost, 0, 0);
        vm.assertEq(channels.channel(id).claimed, 0, "claimed");
        Typed.Row[] memory rows = list(row(foreignId, TASK, 2, 50, 6));
        assertOutcome(claimBy(stranger, foreign, rows)[0], IChannels.Skip.None, 50, 6);
    }

    function test_P31_a_claim_that_names_another_host_or_token_reaches_no_channel() public {
        Typed.Row[] memory rows = list(row(id, TASK, 2, 100, 6));
        vm.prank(stranger);
        IChannels.Outcome[] memory asHost = channels.claimVouchersAndTell(stranger, NATIVE, list(group(terms, 1)), rows);
        assertOutcome(asHost[0], IChannels.Skip.UnknownChannel, 0, 0);
        vm.prank(host);
        IChannels.Outcome[] memory inToken = channels.claimVouchersAndTell(
            host,
            address(token),
            list(group(terms, 1)),
            rows
        );
        assertOutcome(inToken[0], IChannels.Skip.UnknownChannel, 0, 0);
        _assertChannel(id, 1000, 0, 0);
    }

    /// @dev The till of a task is carried from row to row and put back in between, whatever stands between them.
    function test_claim_of_tasks_in_turn_credits_each_as_if_alone() public {
        bytes32 second = publish(bytes32(uint256(8)), 2, NATIVE);
        Typed.Terms memory other = termsIn(NATIVE, 2);
        bytes32 otherId = open(other, 500);
        Typed.Group[] memory groups = new Typed.Group[](3);
        (groups[0], groups[1], groups[2]) = (group(terms, 3), group(other, 3), group(terms, 1));
        Typed.Row[] memory rows = new Typed.Row[](7);
        (rows[0], rows[1]) = (row(id, TASK, 1, 10, 3), row(id, second, 1, 20, 2));
        // Unknown, and no task's id: neither may take what is another's.
        (rows[2], rows[3]) = (row(id, bytes32(uint256(99)), 1, 5, 1), row(otherId, bytes32(0), 1, 5, 1));
        (rows[4], rows[5]) = (row(otherId, second, 3, 40, 7), row(otherId, TASK, 2, 50, 6));
        rows[6] = row(id, TASK, 4, 30, 13);
        vm.prank(host);
        IChannels.Outcome[] memory outcomes = channels.claimVouchersAndTell(host, NATIVE, groups, rows);
        assertOutcome(outcomes[2], IChannels.Skip.UnknownTask, 0, 0);
        assertOutcome(outcomes[3], IChannels.Skip.UnknownTask, 0, 0);
        assertOutcome(outcomes[6], IChannels.Skip.None, 20, 10);
        _assertCredits(140, 19);
        vm.assertEq(channels.taskCredit(NATIVE, second), 9, "second task");
        vm.assertEq(channels.taskCredit(NATIVE, bytes32(0)), 0, "no task");
        _assertChannel(id, 1000, 65, 0);
        _assertChannel(otherId, 500, 103, 0);
    }

    function test_a_claim_whose_first_row_names_no_task_pays_nothing() public {
        _assertSkipped(terms, row(id, bytes32(0), 1, 5, 0), IChannels.Skip.UnknownTask);
    }

    function test_claim_by_the_hosts_payee_pays_and_by_a_former_payee_does_not() public {
        address cold = vm.addr(0xC01D);
        vm.prank(host);
        hosts.register(cold, "peer", "");
        assertOutcome(claimBy(cold, terms, list(row(id, TASK, 1, 50, 3)))[0], IChannels.Skip.None, 50, 3);
        vm.prank(cold);
        hosts.setPayee(host, stranger);
        Typed.Row[] memory more = list(row(id, TASK, 2, 100, 6));
        assertOutcome(claimBy(cold, terms, more)[0], IChannels.Skip.NotHost, 0, 0);
        assertOutcome(claimBy(stranger, terms, more)[0], IChannels.Skip.None, 50, 3);
    }

    // claimVouchersAs

    function test_claimVouchersAs_pays_for_whom_the_host_named_again_and_again() public {
        Typed.Signature memory authority = claimerSigned(id, stranger);
        assertOutcome(claimAs(stranger, terms, row(id, TASK, 1, 50, 3), authority), IChannels.Skip.None, 50, 3);
        assertOutcome(claimAs(stranger, terms, row(id, TASK, 2, 100, 6), authority), IChannels.Skip.None, 50, 3);
        _assertCredits(100, 6);
    }

    function test_P31_claimVouchersAs_refuses_authority_for_another_channel_claimer_or_by_another_key() public {
        Typed.Terms memory other = termsIn(NATIVE, 2);
        bytes32 otherId = open(other, 500);
        Typed.Row memory r = row(id, TASK, 2, 100, 6);
        Typed.Signature memory ours = claimerSigned(id, stranger);
        _assertNotHost(claimAs(stranger, terms, r, claimerSigned(otherId, stranger)));
        _assertNotHost(claimAs(client, terms, r, ours));
        _assertNotHost(claimAs(stranger, terms, r, sign(CLIENT_KEY, Typed.hashClaimer(id, stranger))));
        _assertNotHost(claimAs(stranger, terms, r, Typed.Signature(0, 0, 27)));
        _assertNotHost(claimAs(stranger, other, row(otherId, TASK, 2, 100, 6), ours));
        vm.assertEq(channels.channel(id).claimed, 0, "claimed");
    }

    function test_claimVouchersAs_by_the_host_itself_or_its_payee_needs_no_signature() public {
        Typed.Signature memory none;
        assertOutcome(claimAs(host, terms, row(id, TASK, 1, 50, 3), none), IChannels.Skip.None, 50, 3);
    }

    function test_claimVouchersAs_without_a_signature_for_each_group_lets_no_stranger_in() public {
        Typed.Row[] memory rows = list(row(id, TASK, 2, 100, 6));
        vm.prank(stranger);
        IChannels.Outcome[] memory outcomes = channels.claimVouchersAs(
            host,
            NATIVE,
            list(group(terms, 1)),
            rows,
            new Typed.Signature[](0)
        );
        _assertNotHost(outcomes[0]);
    }

    function test_claim_skips_with_the_reason() public {
        publish(bytes32(uint256(8)), 1, address(token));
        Typed.Row memory good = row(id, TASK, 2, 100, 6);
        Typed.Row memory forged = row(id, TASK, 2, 100, 6);
        forged.hostAmount = 101;
        _assertSkipped(terms, forged, IChannels.Skip.BadSignature);
        _assertSkipped(terms, row(id, bytes32(uint256(9)), 1, 1, 1), IChannels.Skip.UnknownTask);
        _assertSkipped(terms, row(id, bytes32(uint256(8)), 1, 1, 1), IChannels.Skip.WrongToken);
        _assertSkipped(terms, row(id, TASK, 2, 100, 5), IChannels.Skip.FeeMissing);
        claim(terms, good);
        _assertSkipped(terms, good, IChannels.Skip.Stale);
        _assertSkipped(terms, row(id, TASK, 1, 200, 200), IChannels.Skip.Stale);
        _assertSkipped(terms, row(id, TASK, 3, 99, 200), IChannels.Skip.Stale);
        _assertSkipped(terms, row(id, TASK, 2, 200, 5), IChannels.Skip.Stale);
        _assertSkipped(terms, row(id, TASK, 3, 100, 6), IChannels.Skip.Stale);
        claim(terms, row(id, TASK, 100, 700, 300));
        _assertSkipped(terms, row(id, TASK, 101, 701, 303), IChannels.Skip.EmptyChannel);
        Typed.Terms memory unknown = termsIn(NATIVE, 9);
        _assertSkipped(unknown, row(channels.channelId(unknown), TASK, 1, 1, 3), IChannels.Skip.UnknownChannel);
        channels.release(terms, 0, releaseSigned(id, 0));
        _assertSkipped(terms, row(id, TASK, 101, 701, 303), IChannels.Skip.FinishedChannel);
    }

    function test_claim_of_a_free_task_works_in_any_token() public {
        bytes32 free = publish(bytes32(uint256(8)), 0, address(token));
        assertOutcome(claim(terms, row(id, free, 5, 10, 0)), IChannels.Skip.None, 10, 0);
        assertOutcome(claim(terms, row(id, free, 5, 10, 4)), IChannels.Skip.None, 0, 4);
    }

    function test_claim_pays_in_proportion_where_the_deposit_is_short_and_the_rest_after_a_top_up() public {
        Typed.Row memory big = row(id, TASK, 100, 1500, 500);
        assertOutcome(claim(terms, big), IChannels.Skip.None, 750, 250);
        vm.prank(stranger);
        channels.topUp{value: 3}(terms, 3);
        assertOutcome(claim(terms, big), IChannels.Skip.None, 2, 1);
        vm.prank(stranger);
        channels.topUp{value: 5000}(terms, 5000);
        assertOutcome(claim(terms, big), IChannels.Skip.None, 748, 249);
        _assertSkipped(terms, big, IChannels.Skip.Stale);
    }

    function test_claim_of_a_retired_task_still_pays() public {
        vm.prank(developer);
        tasks.retire(TASK);
        assertOutcome(claim(terms, row(id, TASK, 2, 100, 6)), IChannels.Skip.None, 100, 6);
    }

    function test_claim_goes_on_after_the_delay_until_somebody_finishes() public {
        vm.prank(client);
        channels.startClose(terms);
        vm.warp(block.timestamp + DELAY + 1 days);
        assertOutcome(claim(terms, row(id, TASK, 2, 100, 6)), IChannels.Skip.None, 100, 6);
    }

    function test_I6_a_claim_after_the_end_pays_nothing_whatever_was_left() public {
        channels.release(terms, 0, releaseSigned(id, 0));
        _assertSkipped(terms, row(id, TASK, 2, 100, 6), IChannels.Skip.FinishedChannel);
        _assertCredits(0, 0);
    }

    // startClose, finishClose, release

    function test_startClose_is_for_the_client_once() public {
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(IChannels.NotClient.selector, stranger, client));
        channels.startClose(terms);
        uint64 closesAt = uint64(block.timestamp) + DELAY;
        vm.expectEmit();
        emit IChannels.Closing(id, closesAt);
        vm.prank(client);
        channels.startClose(terms);
        _assertChannel(id, 1000, 0, closesAt);
        vm.warp(block.timestamp + 60);
        vm.prank(client);
        vm.expectRevert(abi.encodeWithSelector(IChannels.AlreadyClosing.selector, closesAt));
        channels.startClose(terms);
        Typed.Terms memory other = termsIn(NATIVE, 2);
        vm.expectRevert(abi.encodeWithSelector(IChannels.NotOpened.selector, channels.channelId(other)));
        channels.startClose(other);
    }

    function test_I7_finishClose_refunds_after_the_whole_delay() public {
        vm.expectRevert(abi.encodeWithSelector(IChannels.NotYet.selector, 0));
        channels.finishClose(terms);
        vm.prank(client);
        channels.startClose(terms);
        claim(terms, row(id, TASK, 2, 100, 6));
        uint64 closesAt = channels.channel(id).closesAt;
        vm.warp(closesAt - 1);
        vm.expectRevert(abi.encodeWithSelector(IChannels.NotYet.selector, closesAt));
        channels.finishClose(terms);
        vm.warp(closesAt);
        uint256 before = client.balance;
        vm.expectEmit();
        emit IChannels.Finished(id, 894, true);
        vm.prank(stranger);
        channels.finishClose(terms);
        vm.assertEq(client.balance - before, 894, "refund");
        vm.assertEq(channels.credit(NATIVE, client), 0, "not credited as well");
        _assertChannel(id, 1000, 106, type(uint64).max);
        vm.expectRevert(abi.encodeWithSelector(IChannels.AlreadyFinished.selector, id));
        channels.finishClose(terms);
    }

    function test_startClose_of_a_finished_channel_is_refused() public {
        channels.release(terms, 0, releaseSigned(id, 0));
        bytes memory reason = abi.encodeWithSelector(IChannels.AlreadyFinished.selector, id);
        vm.prank(client);
        vm.expectRevert(reason);
        channels.startClose(terms);
        vm.prank(host);
        vm.expectRevert(reason);
        channels.release(terms, 0, Typed.Signature(0, 0, 0));
        Typed.Terms memory never = termsIn(NATIVE, 2);
        reason = abi.encodeWithSelector(IChannels.NotOpened.selector, channels.channelId(never));
        vm.expectRevert(reason);
        channels.finishClose(never);
        vm.prank(host);
        vm.expectRevert(reason);
        channels.release(never, 0, Typed.Signature(0, 0, 0));
    }

    function test_release_closes_at_once_with_the_hosts_signature() public {
        claim(terms, row(id, TASK, 2, 100, 6));
        uint256 before = client.balance;
        channels.release(terms, 106, releaseSigned(id, 106));
        vm.assertEq(client.balance - before, 894, "refund");
    }

    function test_release_refuses_what_is_not_claimed_yet_or_not_signed_by_the_host() public {
        claim(terms, row(id, TASK, 2, 100, 6));
        Typed.Signature memory early = releaseSigned(id, 107);
        vm.expectRevert(abi.encodeWithSelector(IChannels.ClaimFirst.selector, 106, 107));
        channels.release(terms, 107, early);
        Typed.Signature memory other = sign(CLIENT_KEY, Typed.hashRelease(id, 106));
        vm.expectRevert(IChannels.BadSignature.selector);
        channels.release(terms, 106, other);
        vm.expectRevert(IChannels.BadSignature.selector);
        channels.release(terms, 105, releaseSigned(id, 106));
    }

    function test_release_by_the_host_needs_no_signature_but_what_it_names_must_be_claimed() public {
        Typed.Signature memory none;
        vm.prank(host);
        vm.expectRevert(abi.encodeWithSelector(IChannels.ClaimFirst.selector, 0, 106));
        channels.release(terms, 106, none);
        claim(terms, row(id, TASK, 2, 100, 6));
        vm.prank(client);
        vm.expectRevert(IChannels.BadSignature.selector);
        channels.release(terms, 106, none);
        uint256 before = client.balance;
        vm.prank(host);
        channels.release(terms, 106, none);
        vm.assertEq(client.balance - before, 894, "refund");
    }

    function test_a_fully_claimed_channel_finishes_without_a_transfer() public {
        claim(terms, row(id, TASK, 100, 700, 300));
        vm.expectEmit();
        emit IChannels.Finished(id, 0, true);
        channels.release(terms, 1000, releaseSigned(id, 1000));
    }

    function test_multicall_ends_a_channel_in_one_transaction() public {
        bytes[] memory calls = new bytes[](4);
        calls[0] = abi.encodeCall(IChannels.claimVoucher, (terms, row(id, TASK, 2, 100, 6)));
        calls[1] = abi.encodeCall(IChannels.release, (terms, 106, Typed.Signature(0, 0, 0)));
        calls[2] = abi.encodeCall(IChannels.withdraw, (NATIVE, host));
        calls[3] = abi.encodeCall(IChannels.withdrawTasks, (NATIVE, developer, list(TASK)));
        (uint256 h, uint256 d, uint256 c) = (host.balance, developer.balance, client.balance);
        vm.prank(host);
        channels.multicall(calls);
        vm.assertEq(host.balance - h, 100, "host");
        vm.assertEq(developer.balance - d, 6, "developer");
        vm.assertEq(client.balance - c, 894, "client");
        vm.assertEq(address(channels).balance, 0, "nothing stays");
    }

    function test_multicall_undoes_all_where_one_step_fails() public {
        bytes[] memory calls = new bytes[](2);
        calls[0] = abi.encodeCall(IChannels.claimVoucher, (terms, row(id, TASK, 2, 100, 6)));
        calls[1] = abi.encodeCall(IChannels.release, (terms, 107, Typed.Signature(0, 0, 0)));
        vm.prank(host);
        vm.expectRevert(abi.encodeWithSelector(IChannels.ClaimFirst.selector, 106, 107));
        channels.multicall(calls);
        _assertChannel(id, 1000, 0, 0);
        _assertCredits(0, 0);
    }

    // withdrawals

    function test_withdraw_goes_to_the_payee_whoever_calls() public {
        address cold = vm.addr(0xC01D);
        vm.prank(host);
        hosts.register(cold, "peer", "");
        claim(terms, row(id, TASK, 2, 100, 6));
        vm.expectEmit();
        emit IChannels.Withdrawn(NATIVE, host, cold, 100);
        vm.prank(stranger);
        channels.withdraw(NATIVE, host);
        vm.assertEq(cold.balance, 100, "cold");
        vm.expectRevert(IChannels.NothingToWithdraw.selector);
        channels.withdraw(NATIVE, host);
    }

    function test_withdrawTo_is_for_the_payee() public {
        address cold = vm.addr(0xC01D);
        vm.prank(host);
        hosts.register(cold, "peer", "");
        claim(terms, row(id, TASK, 2, 100, 6));
        vm.prank(host);
        vm.expectRevert(abi.encodeWithSelector(IChannels.NotPayee.selector, host, cold));
        channels.withdrawTo(NATIVE, host, host);
        address elsewhere = vm.addr(0xE15E);
        vm.prank(cold);
        channels.withdrawTo(NATIVE, host, elsewhere);
        vm.assertEq(elsewhere.balance, 100, "elsewhere");
    }

    function test_withdrawTasks_sums_the_tasks_of_one_payee() public {
        bytes32 second = publish(bytes32(uint256(8)), 1, NATIVE);
        bytes32 foreign = bytes32(uint256(9));
        vm.prank(stranger);
        tasks.publish(foreign, 1, NATIVE, stranger, "foreign", "1");
        claim(terms, row(id, TASK, 2, 100, 6));
        claim(terms, row(id, second, 2, 0, 5));
        claim(terms, row(id, foreign, 2, 0, 7));
        bytes32[] memory ids = new bytes32[](4);
        (ids[0], ids[1], ids[2], ids[3]) = (TASK, foreign, second, TASK);
        uint256 before = developer.balance;
        vm.expectEmit();
        emit IChannels.TasksWithdrawn(NATIVE, developer, developer, 11);
        channels.withdrawTasks(NATIVE, developer, ids);
        vm.assertEq(developer.balance - before, 11, "developer");
        vm.assertEq(channels.taskCredit(NATIVE, foreign), 7, "foreign task untouched");
        vm.expectRevert(IChannels.NothingToWithdraw.selector);
        channels.withdrawTasks(NATIVE, developer, ids);
    }

    function test_withdrawTasks_follows_the_payee_of_the_task() public {
        claim(terms, row(id, TASK, 2, 100, 6));
        address cold = vm.addr(0xC01D);
        vm.prank(developer);
        tasks.setPayee(TASK, cold);
        vm.expectRevert(IChannels.NothingToWithdraw.selector);
        channels.withdrawTasks(NATIVE, developer, list(TASK));
        channels.withdrawTasks(NATIVE, cold, list(TASK));
        vm.assertEq(cold.balance, 6, "cold");
    }

    // helpers

    function relay(Typed.Terms memory t, uint96 amount, uint96 signedAmount, uint256 key) external returns (bytes32) {
        return _relay(t, amount, signedAmount, key);
    }

    function _relay(Typed.Terms memory t, uint96 amount, uint96 signedAmount, uint256 key) private returns (bytes32) {
        Typed.Signature memory authority = sign(key, Typed.hashOpen(channels.channelId(t), signedAmount));
        Typed.Signature memory p = _permit(amount, block.timestamp);
        vm.prank(stranger);
        return channels.openWithPermit(t, amount, authority, block.timestamp, p);
    }

    function _permit(uint256 amount, uint256 deadline) private view returns (Typed.Signature memory) {
        return _permitBy(client, CLIENT_KEY, amount, deadline);
    }

    function _permitBy(
        address owner,
        uint256 key,
        uint256 amount,
        uint256 deadline
    ) private view returns (Typed.Signature memory s) {
        bytes32 type_ = keccak256(
            "Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"
        );
        bytes32 hash = keccak256(
            abi.encode(type_, owner, address(channels), amount, token.nonces(owner), deadline)
        );
        (s.v, s.r, s.s) = vm.sign(key, keccak256(abi.encodePacked(hex"1901", token.DOMAIN_SEPARATOR(), hash)));
    }

    function _withoutAllowance() private {
        vm.prank(client);
        token.approve(address(channels), 0);
    }

    function _expectOpenReverts(Typed.Terms memory t, uint96 amount, uint256 value, bytes memory reason) private {
        vm.prank(client);
        vm.expectRevert(reason);
        channels.open{value: value}(t, amount);
    }

    function _assertSkipped(Typed.Terms memory t, Typed.Row memory r, IChannels.Skip reason) private {
        bytes32 which = channels.channelId(t);
        uint96 claimed = channels.channel(which).claimed;
        vm.expectEmit();
        emit IChannels.Skipped(which, r.taskId, reason);
        assertOutcome(claim(t, r), reason, 0, 0);
        vm.assertEq(channels.channel(which).claimed, claimed, "claimed");
    }

    function _assertNotHost(IChannels.Outcome memory outcome) private pure {
        assertOutcome(outcome, IChannels.Skip.NotHost, 0, 0);
    }

    function _assertChannel(bytes32 which, uint256 deposit, uint256 claimed, uint256 closesAt) private view {
        IChannels.Channel memory c = channels.channel(which);
        vm.assertEq(c.deposit, deposit, "deposit");
        vm.assertEq(c.claimed, claimed, "claimed");
        vm.assertEq(c.closesAt, closesAt, "closesAt");
    }

    function _assertCredits(uint256 ofHost, uint256 ofTask) private view {
        vm.assertEq(channels.credit(NATIVE, host), ofHost, "host's credit");
        vm.assertEq(channels.taskCredit(NATIVE, TASK), ofTask, "developer's credit");
    }
}
