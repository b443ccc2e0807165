// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ITasks} from "../../contracts/interfaces/ITasks.sol";
import {Market} from "./support/Market.sol";

/// @notice Every branch of every function of Tasks; Tasks.tree lists them.
contract TasksTest is Market {
    bytes32 private constant TASK = bytes32(uint256(7));

    function test_publish_writes_the_entry_and_announces_it() public {
        vm.expectEmit();
        emit ITasks.Published(TASK, developer, address(token), 5, "name", "1.0");
        _publish(TASK, "name", "1.0");
        ITasks.Task memory task = tasks.get(TASK);
        vm.assertEq(task.taskId, TASK, "taskId");
        vm.assertEq(task.developer, developer, "developer");
        vm.assertEq(task.payee, stranger, "payee");
        vm.assertEq(task.token, address(token), "token");
        vm.assertEq(task.fee, 5, "fee");
        vm.assertEq(task.publishedAt, block.timestamp, "publishedAt");
        vm.assertTrue(!task.retired, "retired");
        vm.assertEq(task.name, "name", "name");
        vm.assertEq(task.version, "1.0", "version");
        (address payee, uint96 fee, address feeToken) = tasks.priceOf(TASK);
        vm.assertEq(payee, stranger, "payee");
        vm.assertEq(fee, 5, "fee");
        vm.assertEq(feeToken, address(token), "token");
    }

    function test_P16_publish_refuses_what_is_there_already() public {
        _publish(TASK, "name", "1.0");
        vm.expectRevert(abi.encodeWithSelector(ITasks.AlreadyPublished.selector, TASK));
        this.publishAs(stranger, TASK, stranger, "other", "2.0");
        vm.expectRevert(abi.encodeWithSelector(ITasks.VersionTaken.selector, TASK));
        this.publishAs(developer, bytes32(uint256(8)), developer, "name", "1.0");
    }

    function test_publish_refuses_zeros() public {
        vm.expectRevert(ITasks.ZeroTaskId.selector);
        this.publishAs(developer, 0, developer, "name", "1.0");
        vm.expectRevert(ITasks.ZeroPayee.selector);
        this.publishAs(developer, TASK, address(0), "name", "1.0");
    }

    function test_publish_refuses_names_and_versions_that_people_could_misread() public {
        string[7] memory bad = ["", "a b", "a/b", "a@b", unicode"а", "a\n", "\x7f"];
        for (uint256 i = 0; i < bad.length; ++i) {
            vm.expectRevert(abi.encodeWithSelector(ITasks.BadText.selector, bad[i]));
            this.publishAs(developer, TASK, developer, bad[i], "1");
            vm.expectRevert(abi.encodeWithSelector(ITasks.BadText.selector, bad[i]));
            this.publishAs(developer, TASK, developer, "name", bad[i]);
        }
        string memory longest = "0123456789012345678901234567890123456789012345678901234567890123";
        string memory version = "01234567890123456789012345678901";
        vm.expectRevert();
        this.publishAs(developer, TASK, developer, string.concat(longest, "4"), version);
        vm.expectRevert();
        this.publishAs(developer, TASK, developer, longest, string.concat(version, "2"));
        this.publishAs(developer, TASK, developer, longest, version);
    }

    function test_names_lead_to_the_latest_and_to_each_version() public {
        bytes32 second = bytes32(uint256(8));
        _publish(TASK, "name", "1.0");
        _publish(second, "name", "2.0");
        vm.assertEq(tasks.latest(developer, "name"), second, "latest");
        vm.assertEq(tasks.byVersion(developer, "name", "1.0"), TASK, "1.0");
        vm.assertEq(tasks.byVersion(developer, "name", "2.0"), second, "2.0");
        vm.assertEq(tasks.byVersion(developer, "name", "3.0"), 0, "3.0");
        vm.assertEq(tasks.latest(stranger, "name"), 0, "somebody else's");
        bytes32 third = bytes32(uint256(9));
        this.publishAs(stranger, third, stranger, "name", "1.0");
        vm.assertEq(tasks.latest(developer, "name"), second, "latest of the developer");
    }

    function test_P17_a_front_runner_gets_an_entry_that_names_him_as_developer() public {
        this.publishAs(stranger, TASK, stranger, "name", "1.0");
        vm.assertEq(tasks.get(TASK).developer, stranger, "the package names another, so nobody believes the entry");
        vm.assertEq(tasks.latest(developer, "name"), 0, "nothing under the developer's name");
    }

    function test_I18_only_the_payee_moves_the_payee() public {
        _publish(TASK, "name", "1.0");
        vm.prank(developer);
        vm.expectRevert(abi.encodeWithSelector(ITasks.NotPayee.selector, developer, stranger));
        tasks.setPayee(TASK, developer);
        vm.prank(stranger);
        vm.expectRevert(ITasks.ZeroPayee.selector);
        tasks.setPayee(TASK, address(0));
        vm.expectEmit();
        emit ITasks.PayeeChanged(TASK, host);
        vm.prank(stranger);
        tasks.setPayee(TASK, host);
        vm.assertEq(tasks.payeeOf(TASK), host, "payee");
    }

    function test_I18_only_the_developer_retires_once() public {
        _publish(TASK, "name", "1.0");
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(ITasks.NotDeveloper.selector, stranger, developer));
        tasks.retire(TASK);
        vm.expectEmit();
        emit ITasks.Retired(TASK);
        vm.prank(developer);
        tasks.retire(TASK);
        vm.assertTrue(tasks.get(TASK).retired, "retired");
        vm.prank(developer);
        vm.expectRevert(abi.encodeWithSelector(ITasks.AlreadyRetired.selector, TASK));
        tasks.retire(TASK);
    }

    function test_unknown_tasks_are_said_to_be_unknown() public {
        bytes memory reason = abi.encodeWithSelector(ITasks.UnknownTask.selector, TASK);
        vm.expectRevert(reason);
        tasks.get(TASK);
        vm.expectRevert(reason);
        tasks.retire(TASK);
        vm.expectRevert(reason);
        tasks.setPayee(TASK, host);
        (address payee, , ) = tasks.priceOf(TASK);
        vm.assertEq(payee, address(0), "payee");
    }

    function test_prices_name_the_token_only_where_there_is_a_fee() public {
        _publish(TASK, "name", "1.0");
        (address payee, uint96 fee, address token_) = tasks.priceOf(TASK);
        vm.assertEq(payee, stranger, "payee");
        vm.assertEq(fee, 5, "fee");
        vm.assertEq(token_, address(token), "token");
        bytes32 free = publish(bytes32(uint256(8)), 0, address(token));
        (payee, fee, token_) = tasks.priceOf(free);
        vm.assertEq(payee, developer, "payee of the free one");
        vm.assertEq(fee, 0, "no fee");
        vm.assertEq(token_, address(0), "no token");
        vm.assertEq(tasks.payeeOf(free), developer, "payeeOf");
    }

    function test_pages_list_everything_in_order() public {
        for (uint256 i = 1; i <= 5; ++i) publish(bytes32(i), i, NATIVE);
        this.publishAs(stranger, bytes32(uint256(6)), stranger, "name", "1.0");
        vm.assertEq(tasks.count(), 6, "count");
        vm.assertEq(tasks.countOf(developer), 5, "countOf");
        ITasks.Task[] memory page = tasks.page(4, 10);
        vm.assertEq(page.length, 2, "the rest");
        vm.assertEq(page[1].taskId, bytes32(uint256(6)), "last");
        page = tasks.pageOf(developer, 1, 2);
        vm.assertEq(page.length, 2, "limit");
        vm.assertEq(page[0].fee, 2, "second");
        vm.assertEq(tasks.page(6, 1).length, 0, "beyond the end");
        vm.assertEq(tasks.page(type(uint256).max, type(uint256).max).length, 0, "far beyond the end");
    }

    function publishAs(address who, bytes32 id, address payee, string calldata name, string calldata version) external {
        vm.prank(who);
        tasks.publish(id, 5, address(token), payee, name, version);
    }

    function _publish(bytes32 id, string memory name, string memory version) private {
        vm.prank(developer);
        tasks.publish(id, 5, address(token), stranger, name, version);
    }
}
