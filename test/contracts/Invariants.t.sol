// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IChannels} from "../../contracts/interfaces/IChannels.sol";
import {Handler} from "./support/Handler.sol";
import {Market} from "./support/Market.sol";
import {OddToken} from "./support/OddToken.sol";

/// @notice What holds after any sequence of steps of anybody; contracts/README.md lists the invariants in words.
/// A step that does what the handler's own ledger forbids (I2, I3, I5, I7 to I9, I11, I12, I16, I19) reverts, and
/// `fail_on_revert` makes that a failure too.
contract InvariantsTest is Market {
    Handler private handler;

    function setUp() public override {
        super.setUp();
        OddToken odd = new OddToken();
        address[2] memory payers = [client, stranger];
        for (uint256 i = 0; i < payers.length; ++i) {
            odd.mint(payers[i], 1e30);
            vm.prank(payers[i]);
            odd.approve(address(channels), type(uint256).max);
        }
        handler = new Handler(channels, hosts, tasks, address(token), odd);
        for (uint256 i = 0; i < handler.TASKS(); ++i) {
            publish(handler.taskId(i), handler.feeOf(i), handler.tokens(i % 3));
        }
        for (uint256 i = 0; i < 3; ++i) handler.client_opens(i, 1e5, 0);
    }

    function targetContracts() external view returns (address[] memory only) {
        only = new address[](1);
        only[0] = address(handler);
    }

    /// forge-config: default.invariant.fail-on-revert = true
    function invariant_I1_I2_I4_I13_I15_I24_money_is_where_the_ledger_says() external view {
        _look();
    }

    function afterInvariant() external view {
        _look();
    }

    function _look() private view {
        _theBalanceIsWhatIsOwedPlusGifts();
        _channelsAreWhatTheLedgerSays();
        _lanesAddUpToWhatWasClaimed();
        _creditsAreWhatTheLedgerSays();
    }

    function _theBalanceIsWhatIsOwedPlusGifts() private view {
        for (uint256 t = 0; t < 3; ++t) {
            address of_ = handler.tokens(t);
            uint256 owed = handler.hostOwed(of_) + handler.clientOwed(of_);
            for (uint256 i = 0; i < handler.TASKS(); ++i) owed += handler.taskOwed(of_, i);
            for (uint256 i = 0; i < handler.count(); ++i) {
                Handler.Book memory book = handler.bookAt(i);
                if (book.terms.token == of_ && !book.finished) owed += book.deposit - book.claimed;
            }
            vm.assertEq(balance(of_, address(channels)), owed + handler.gifts(of_), "I1 I15");
            vm.assertEq(handler.came(of_), owed + handler.gone(of_), "I13");
        }
    }

    function _channelsAreWhatTheLedgerSays() private view {
        for (uint256 i = 0; i < handler.count(); ++i) {
            Handler.Book memory book = handler.bookAt(i);
            IChannels.Channel memory channel = channels.channel(book.id);
            vm.assertEq(channel.deposit, book.deposit, "I24 deposit");
            vm.assertEq(channel.claimed, book.claimed, "I24 claimed");
            vm.assertEq(channel.closesAt, book.finished ? type(uint64).max : book.closesAt, "I24 closesAt");
            vm.assertLe(channel.claimed, channel.deposit, "I2");
        }
    }

    function _lanesAddUpToWhatWasClaimed() private view {
        for (uint256 i = 0; i < handler.count(); ++i) {
            Handler.Book memory book = handler.bookAt(i);
            uint256 sum = 0;
            for (uint256 task = 0; task < handler.TASKS(); ++task) {
                IChannels.Lane memory lane = channels.lane(book.id, handler.taskId(task));
                Handler.Paid memory paid = handler.paidOn(book.id, task);
                vm.assertEq(lane.jobs, paid.jobs, "I24 jobs");
                vm.assertEq(lane.hostAmount, paid.host, "I24 host");
                vm.assertEq(lane.developerAmount, paid.developer, "I24 developer");
                sum += uint256(lane.hostAmount) + lane.developerAmount;
            }
            vm.assertEq(sum, channels.channel(book.id).claimed, "I4");
        }
    }

    function _creditsAreWhatTheLedgerSays() private view {
        for (uint256 t = 0; t < 3; ++t) {
            address of_ = handler.tokens(t);
            vm.assertEq(channels.credit(of_, host), handler.hostOwed(of_), "I24 credit of the host");
            vm.assertEq(channels.credit(of_, client), handler.clientOwed(of_), "I24 credit of the client");
            for (uint256 i = 0; i < handler.TASKS(); ++i) {
                vm.assertEq(channels.taskCredit(of_, handler.taskId(i)), handler.taskOwed(of_, i), "I24 credit of a task");
            }
        }
    }
}
