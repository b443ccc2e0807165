// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Typed} from "../../contracts/Typed.sol";
import {IHosts} from "../../contracts/interfaces/IHosts.sol";
import {Market} from "./support/Market.sol";
import {OddReceiver} from "./support/OddToken.sol";

/// @notice Every branch of every function of Hosts; Hosts.tree lists them.
contract HostsTest is Market {
    address private constant BURNED = 0x000000000000000000000000000000000000dEaD;
    uint64 private constant UNBOND_DELAY = 7 days;
    address private immutable cold = vm.addr(0xC01D);

    function test_register_writes_the_entry_and_announces_it() public {
        vm.expectEmit();
        emit IHosts.Registered(host, cold, "peer", "fast");
        vm.expectEmit();
        emit IHosts.Bonded(host, 10, 10);
        _register(10);
        IHosts.Host memory entry = hosts.get(host);
        vm.assertEq(entry.host, host, "host");
        vm.assertEq(entry.payee, cold, "payee");
        vm.assertEq(entry.bond, 10, "bond");
        vm.assertEq(entry.unbondsAt, 0, "unbondsAt");
        vm.assertEq(entry.peerId, "peer", "peerId");
        vm.assertEq(entry.metadata, "fast", "metadata");
        vm.assertEq(hosts.payeeOf(host), cold, "payeeOf");
        vm.assertEq(hosts.payeeOf(client), client, "payeeOf somebody else");
    }

    function test_register_refuses_a_second_time_and_bad_values() public {
        vm.expectRevert(IHosts.ZeroPayee.selector);
        hosts.register(address(0), "peer", "");
        vm.expectRevert(abi.encodeWithSelector(IHosts.BadPeerId.selector, 0));
        hosts.register(cold, "", "");
        vm.expectRevert(abi.encodeWithSelector(IHosts.BadPeerId.selector, 65));
        hosts.register(cold, new bytes(65), "");
        vm.expectRevert(abi.encodeWithSelector(IHosts.BadMetadata.selector, 513));
        hosts.register(cold, new bytes(64), string(new bytes(513)));
        hosts.register(cold, new bytes(64), string(new bytes(512)));
        vm.expectRevert(abi.encodeWithSelector(IHosts.AlreadyRegistered.selector, address(this)));
        hosts.register(cold, "peer", "");
    }

    function test_update_replaces_peer_and_metadata() public {
        _register(0);
        vm.expectEmit();
        emit IHosts.Updated(host, "other", "faster");
        vm.prank(host);
        hosts.update("other", "faster");
        vm.assertEq(hosts.get(host).metadata, "faster", "metadata");
        vm.prank(host);
        vm.expectRevert(abi.encodeWithSelector(IHosts.BadPeerId.selector, 0));
        hosts.update("", "");
    }

    function test_a_stolen_hot_key_cannot_move_the_payee() public {
        _register(0);
        vm.prank(host);
        vm.expectRevert(abi.encodeWithSelector(IHosts.NotPayee.selector, host, cold));
        hosts.setPayee(host, stranger);
        vm.prank(cold);
        vm.expectRevert(IHosts.ZeroPayee.selector);
        hosts.setPayee(host, address(0));
        vm.expectEmit();
        emit IHosts.PayeeChanged(host, stranger);
        vm.prank(cold);
        hosts.setPayee(host, stranger);
        vm.assertEq(hosts.payeeOf(host), stranger, "payee");
    }

    function test_addBond_by_anybody_keeps_the_time_of_an_unbonding() public {
        _register(10);
        vm.prank(host);
        hosts.unbond();
        uint64 unbondsAt = hosts.get(host).unbondsAt;
        vm.warp(block.timestamp + 1 days);
        vm.prank(stranger);
        hosts.addBond{value: 5}(host);
        vm.assertEq(hosts.get(host).bond, 15, "bond");
        vm.assertEq(hosts.get(host).unbondsAt, unbondsAt, "unbondsAt");
        vm.deal(stranger, 2 ** 97);
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(IHosts.BondTooLarge.selector, 2 ** 96 + 14));
        hosts.addBond{value: 2 ** 96 - 1}(host);
    }

    function test_unbond_takes_the_whole_delay_and_pays_the_payee() public {
        _register(10);
        vm.expectRevert(abi.encodeWithSelector(IHosts.NotUnbonded.selector, 0));
        hosts.withdrawBond(host);
        uint64 unbondsAt = uint64(block.timestamp) + UNBOND_DELAY;
        vm.expectEmit();
        emit IHosts.Unbonding(host, unbondsAt);
        vm.prank(host);
        hosts.unbond();
        vm.prank(host);
        vm.expectRevert(abi.encodeWithSelector(IHosts.AlreadyUnbonding.selector, unbondsAt));
        hosts.unbond();
        vm.warp(unbondsAt - 1);
        vm.expectRevert(abi.encodeWithSelector(IHosts.NotUnbonded.selector, unbondsAt));
        hosts.withdrawBond(host);
        vm.warp(unbondsAt);
        vm.expectEmit();
        emit IHosts.Unbonded(host, 10);
        vm.prank(stranger);
        hosts.withdrawBond(host);
        vm.assertEq(cold.balance, 10, "payee");
        vm.assertEq(hosts.payeeOf(host), cold, "the payee stays");
        vm.prank(host);
        vm.expectRevert(abi.encodeWithSelector(IHosts.NoBond.selector, host));
        hosts.unbond();
    }

    function test_unknown_hosts_are_said_to_be_unknown() public {
        bytes memory reason = abi.encodeWithSelector(IHosts.UnknownHost.selector, host);
        vm.expectRevert(reason);
        hosts.get(host);
        vm.expectRevert(reason);
        hosts.addBond(host);
        vm.expectRevert(reason);
        hosts.setPayee(host, cold);
        vm.expectRevert(reason);
        hosts.withdrawBond(host);
        vm.prank(host);
        vm.expectRevert(reason);
        hosts.unbond();
        vm.prank(host);
        vm.expectRevert(reason);
        hosts.update("peer", "");
        (IHosts.Evidence memory a, IHosts.Evidence memory b) = _contradiction();
        vm.expectRevert(reason);
        hosts.slash(host, a, b);
    }

    function test_register_without_a_bond_announces_none() public {
        vm.recordLogs();
        _register(0);
        vm.assertEq(vm.getRecordedLogs().length, 1, "Registered and nothing else");
        vm.assertEq(hosts.get(host).bond, 0, "bond");
    }

    function test_a_payee_that_refuses_leaves_the_bond_where_it_is() public {
        OddReceiver odder = new OddReceiver();
        odder.setRefuses(true);
        vm.prank(host);
        hosts.register{value: 10}(address(odder), "peer", "");
        vm.prank(host);
        hosts.unbond();
        vm.warp(block.timestamp + UNBOND_DELAY);
        vm.expectRevert();
        hosts.withdrawBond(host);
        vm.assertEq(hosts.get(host).bond, 10, "bond");
        odder.setRefuses(false);
        hosts.withdrawBond(host);
        vm.assertEq(address(odder).balance, 10, "paid");
    }

    /// @dev What is paid out is gone from the entry first, so that coming back in brings nothing.
    function test_P18_I16_a_payee_that_comes_back_in_is_paid_once() public {
        OddReceiver thief = new OddReceiver();
        vm.prank(host);
        hosts.register{value: 10}(address(thief), "peer", "");
        vm.deal(address(hosts), address(hosts).balance + 100);
        vm.prank(host);
        hosts.unbond();
        vm.warp(block.timestamp + UNBOND_DELAY);
        thief.setCall(address(hosts), abi.encodeCall(IHosts.withdrawBond, (host)));
        hosts.withdrawBond(host);
        vm.assertEq(address(thief).balance, 10, "once");
    }

    function test_the_contract_names_its_channels_and_its_delay() public {
        vm.assertEq(hosts.channels(), address(channels), "channels");
        (bool ok, bytes memory delay) = address(hosts).call(abi.encodeWithSignature("UNBOND_DELAY()"));
        vm.assertTrue(ok, "UNBOND_DELAY");
        vm.assertEq(abi.decode(delay, (uint256)), UNBOND_DELAY, "delay");
    }

    function test_slash_burns_half_and_gives_the_reporter_half() public {
        _register(11);
        vm.prank(host);
        hosts.unbond();
        (IHosts.Evidence memory a, IHosts.Evidence memory b) = _contradiction();
        vm.expectEmit();
        emit IHosts.Slashed(host, stranger, 6, 5);
        vm.prank(stranger);
        hosts.slash(host, a, b);
        vm.assertEq(BURNED.balance, 6, "burned");
        vm.assertEq(hosts.get(host).bond, 0, "bond");
        vm.assertEq(hosts.get(host).unbondsAt, 0, "unbondsAt");
        vm.assertEq(hosts.rewards(stranger), 5, "reward");
        uint256 before = stranger.balance;
        vm.expectEmit();
        emit IHosts.RewardWithdrawn(stranger, 5);
        hosts.withdrawReward(stranger);
        vm.assertEq(stranger.balance - before, 5, "paid");
        vm.expectRevert(IHosts.NothingToWithdraw.selector);
        hosts.withdrawReward(stranger);
        vm.expectRevert(abi.encodeWithSelector(IHosts.NoBond.selector, host));
        hosts.slash(host, a, b);
    }

    function test_slash_reads_receipts_under_one_root() public {
        _register(10);
        (IHosts.Evidence memory a, IHosts.Evidence memory b) = _contradiction();
        bytes32 other = keccak256("another receipt");
        bytes32 leaf = keccak256(abi.encode(Typed.RECEIPT, a.receipt));
        bytes32 root = leaf < other ? keccak256(abi.encode(leaf, other)) : keccak256(abi.encode(other, leaf));
        a.proof = list(other);
        a.signature = sign(HOST_KEY, Typed.hashReceipts(root));
        hosts.slash(host, a, b);
        vm.assertEq(hosts.rewards(address(this)), 5, "reward");
    }

    /// @dev A tree of up to 32 receipts; the host answers for each leaf, and for nothing else under the same root.
    function testFuzz_slash_reads_every_leaf_of_a_tree_and_no_other(uint8 depth, bytes32 seed, uint256 flip) public {
        depth = uint8(1 + (depth % 5));
        _register(10);
        (IHosts.Evidence memory a, IHosts.Evidence memory b) = _contradiction();
        bytes32 node = keccak256(abi.encode(Typed.RECEIPT, a.receipt));
        a.proof = new bytes32[](depth);
        for (uint256 i = 0; i < depth; ++i) {
            bytes32 sibling = a.proof[i] = keccak256(abi.encode(seed, i));
            node = node < sibling ? keccak256(abi.encode(node, sibling)) : keccak256(abi.encode(sibling, node));
        }
        a.signature = sign(HOST_KEY, Typed.hashReceipts(node));
        vm.assume(flip != 0);
        uint256 where = flip % depth;
        a.proof[where] ^= bytes32(flip);
        vm.expectRevert(abi.encodeWithSelector(IHosts.NotSignedByHost.selector, 0));
        hosts.slash(host, a, b);
        a.proof[where] ^= bytes32(flip);
        hosts.slash(host, a, b);
        vm.assertEq(hosts.rewards(address(this)), 5, "reward");
    }

    function test_slash_refuses_what_proves_nothing() public {
        _register(10);
        (IHosts.Evidence memory a, IHosts.Evidence memory b) = _contradiction();
        _expectProvesNothing(a, a);
        b.receipt.jobHash = keccak256("another job");
        b.signature = _signed(HOST_KEY, b.receipt);
        _expectProvesNothing(a, b);
        (a, b) = _contradiction();
        b.receipt.channelId = keccak256("another channel");
        b.signature = _signed(HOST_KEY, b.receipt);
        _expectProvesNothing(a, b);
    }

    function test_slash_refuses_what_the_host_did_not_sign() public {
        _register(10);
        (IHosts.Evidence memory a, IHosts.Evidence memory b) = _contradiction();
        b.signature = _signed(CLIENT_KEY, b.receipt);
        vm.expectRevert(abi.encodeWithSelector(IHosts.NotSignedByHost.selector, 1));
        hosts.slash(host, a, b);
        vm.expectRevert(abi.encodeWithSelector(IHosts.NotSignedByHost.selector, 0));
        hosts.slash(host, b, a);
        (, b) = _contradiction();
        b.proof = list(bytes32(uint256(1)));
        vm.expectRevert(abi.encodeWithSelector(IHosts.NotSignedByHost.selector, 1));
        hosts.slash(host, a, b);
    }

    function test_P1_receipts_of_another_chain_prove_nothing() public {
        _register(10);
        (IHosts.Evidence memory a, IHosts.Evidence memory b) = _contradiction();
        vm.chainId(block.chainid + 1);
        vm.expectRevert(abi.encodeWithSelector(IHosts.NotSignedByHost.selector, 0));
        hosts.slash(host, a, b);
    }

    function test_pages_list_hosts_in_order() public {
        _register(1);
        vm.prank(stranger);
        hosts.register(stranger, "peer", "");
        vm.assertEq(hosts.count(), 2, "count");
        vm.assertEq(hosts.page(0, 10).length, 2, "all");
        vm.assertEq(hosts.page(1, 1)[0].host, stranger, "second");
        vm.assertEq(hosts.page(2, 1).length, 0, "beyond the end");
    }

    function _register(uint256 bond) private {
        vm.prank(host);
        hosts.register{value: bond}(cold, "peer", "fast");
    }

    function _contradiction() private view returns (IHosts.Evidence memory a, IHosts.Evidence memory b) {
        a.receipt.channelId = b.receipt.channelId = keccak256("channel");
        a.receipt.jobHash = b.receipt.jobHash = keccak256("job");
        a.receipt.outputHash = keccak256("one output");
        b.receipt.outputHash = keccak256("another output");
        a.signature = _signed(HOST_KEY, a.receipt);
        b.signature = _signed(HOST_KEY, b.receipt);
    }

    function _signed(uint256 key, Typed.Receipt memory receipt) private view returns (Typed.Signature memory) {
        return sign(key, Typed.hashReceipts(keccak256(abi.encode(Typed.RECEIPT, receipt))));
    }

    function _expectProvesNothing(IHosts.Evidence memory a, IHosts.Evidence memory b) private {
        vm.expectRevert(IHosts.NotContradicting.selector);
        hosts.slash(host, a, b);
    }
}
