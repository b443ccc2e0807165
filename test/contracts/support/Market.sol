// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {Typed} from "../../../contracts/Typed.sol";
import {IChannels} from "../../../contracts/interfaces/IChannels.sol";
import {IHosts} from "../../../contracts/interfaces/IHosts.sol";
import {ITasks} from "../../../contracts/interfaces/ITasks.sol";
import {Vm} from "./Vm.sol";

/// @notice Channels as deployed: with the parts of OpenZeppelin that are called from outside.
interface IChannelsWhole is IChannels {
    function multicall(bytes[] calldata data) external returns (bytes[] memory results);
    function MIN_CLOSE_DELAY() external view returns (uint64);
    function MAX_CLOSE_DELAY() external view returns (uint64);
    function TASKS() external view returns (address);
    function HOSTS() external view returns (address);
    function eip712Domain()
        external
        view
        returns (
            bytes1 fields,
            string memory name,
            string memory version,
            uint256 chainId,
            address verifyingContract,
            bytes32 salt,
            uint256[] memory extensions
        );
}

interface IToken is IERC20, IERC20Permit {}

/// @notice The three contracts, a token, and the people of a market with their keys: the ground of every test.
abstract contract Market {
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    uint256 internal constant CLIENT_KEY = 0xC1;
    uint256 internal constant SIGNER_KEY = 0x51;
    uint256 internal constant HOST_KEY = 0x40;
    uint256 internal constant DEVELOPER_KEY = 0xDE;
    uint256 internal constant STRANGER_KEY = 0xBAD;

    address internal immutable client = vm.addr(CLIENT_KEY);
    address internal immutable signer = vm.addr(SIGNER_KEY);
    address internal immutable host = vm.addr(HOST_KEY);
    address internal immutable developer = vm.addr(DEVELOPER_KEY);
    address internal immutable stranger = vm.addr(STRANGER_KEY);

    address internal constant NATIVE = address(0);
    uint64 internal constant DELAY = 1 hours;

    ITasks internal tasks;
    IHosts internal hosts;
    IChannelsWhole internal channels;
    IToken internal token;

    function setUp() public virtual {
        vm.warp(1_800_000_000);
        tasks = ITasks(vm.deployCode("Tasks.sol:Tasks"));
        address foretold = vm.computeCreateAddress(address(this), vm.getNonce(address(this)) + 1);
        hosts = IHosts(vm.deployCode("Hosts.sol:Hosts", abi.encode(foretold)));
        channels = IChannelsWhole(vm.deployCode("Channels.sol:Channels", abi.encode(tasks, hosts)));
        token = IToken(vm.deployCode("DevToken.sol:DevToken", abi.encode("MECA Dollar", "MUSD", 6, 1e30)));
        address[4] memory people = [client, host, developer, stranger];
        for (uint256 i = 0; i < people.length; ++i) {
            vm.deal(people[i], 1e30);
            token.transfer(people[i], 1e29);
            vm.prank(people[i]);
            token.approve(address(channels), type(uint256).max);
        }
    }

    function termsIn(address token_, uint256 salt) internal view returns (Typed.Terms memory) {
        return Typed.Terms(client, signer, host, token_, DELAY, bytes32(salt));
    }

    function open(Typed.Terms memory terms, uint256 amount) internal returns (bytes32) {
        vm.prank(terms.client);
        return channels.open{value: terms.token == NATIVE ? amount : 0}(terms, uint96(amount));
    }

    function publish(bytes32 taskId, uint256 fee, address token_) internal returns (bytes32) {
        vm.prank(developer);
        tasks.publish(taskId, uint96(fee), token_, developer, "task", vm.toString(uint256(taskId)));
        return taskId;
    }

    function digest(bytes32 structHash) internal view returns (bytes32) {
        bytes32 separator = keccak256(
            abi.encode(Typed.DOMAIN, Typed.NAME, Typed.VERSION, block.chainid, address(channels))
        );
        return keccak256(abi.encodePacked(hex"1901", separator, structHash));
    }

    function sign(uint256 key, bytes32 structHash) internal view returns (Typed.Signature memory signature) {
        (signature.v, signature.r, signature.s) = vm.sign(key, digest(structHash));
    }

    /// @notice A row signed by the channel's signer.
    function row(
        bytes32 id,
        bytes32 taskId,
        uint256 jobs,
        uint256 hostAmount,
        uint256 developerAmount
    ) internal view returns (Typed.Row memory made) {
        made = Typed.Row(
            taskId,
            uint64(jobs),
            uint96(hostAmount),
            uint96(developerAmount),
            Typed.Signature(0, 0, 0)
        );
        made.signature = sign(SIGNER_KEY, voucherHash(id, made));
    }

    function voucherHash(bytes32 id, Typed.Row memory r) internal pure returns (bytes32) {
        return keccak256(abi.encode(Typed.VOUCHER, id, r.taskId, r.jobs, r.hostAmount, r.developerAmount));
    }

    function releaseSigned(bytes32 id, uint96 claimed) internal view returns (Typed.Signature memory) {
        return sign(HOST_KEY, Typed.hashRelease(id, claimed));
    }

    function claimerSigned(bytes32 id, address claimer) internal view returns (Typed.Signature memory) {
        return sign(HOST_KEY, Typed.hashClaimer(id, claimer));
    }

    /// @notice Claims rows of one channel, by its host, and tells what they brought.
    function claim(
        Typed.Terms memory terms,
        Typed.Row[] memory rows
    ) internal returns (IChannels.Outcome[] memory) {
        return claimBy(terms.host, terms, rows);
    }

    function claimBy(
        address caller,
        Typed.Terms memory terms,
        Typed.Row[] memory rows
    ) internal returns (IChannels.Outcome[] memory) {
        Typed.Group[] memory groups = list(group(terms, rows.length));
        bytes32 wanted = rows.length == 1 ? _claimAlone(caller, terms, rows[0]) : bytes32(0);
        vm.prank(caller);
        IChannels.Outcome[] memory outcomes = channels.claimVouchersAndTell(terms.host, terms.token, groups, rows);
        if (rows.length == 1) vm.assertEq(wanted, _state(terms, rows[0].taskId), "claimVoucher does what a claim of one row does");
        return outcomes;
    }

    /// @dev What `claimVoucher` would make of it; nothing stays of that.
    function _claimAlone(
        address caller,
        Typed.Terms memory terms,
        Typed.Row memory only
    ) private returns (bytes32 state) {
        uint256 start = vm.snapshotState();
        vm.prank(caller);
        channels.claimVoucher(terms, only);
        state = _state(terms, only.taskId);
        vm.revertToState(start);
    }

    /// @dev All that a claim of this task on this channel may change.
    function _state(Typed.Terms memory terms, bytes32 taskId) private view returns (bytes32) {
        bytes32 id = channels.channelId(terms);
        uint256 credit = channels.credit(terms.token, terms.host);
        uint256 taskCredit = channels.taskCredit(terms.token, taskId);
        return keccak256(abi.encode(channels.channel(id), channels.lane(id, taskId), credit, taskCredit));
    }

    /// @notice Claims one row by somebody with the host's word for it.
    function claimAs(
        address caller,
        Typed.Terms memory terms,
        Typed.Row memory only,
        Typed.Signature memory authority
    ) internal returns (IChannels.Outcome memory) {
        Typed.Group[] memory groups = list(group(terms, 1));
        Typed.Signature[] memory authorities = new Typed.Signature[](1);
        authorities[0] = authority;
        vm.prank(caller);
        return channels.claimVouchersAs(terms.host, terms.token, groups, list(only), authorities)[0];
    }

    function claim(
        Typed.Terms memory terms,
        Typed.Row memory only
    ) internal returns (IChannels.Outcome memory) {
        return claim(terms, list(only))[0];
    }

    function list(Typed.Row memory only) internal pure returns (Typed.Row[] memory rows) {
        rows = new Typed.Row[](1);
        rows[0] = only;
    }

    function list(Typed.Group memory only) internal pure returns (Typed.Group[] memory groups) {
        groups = new Typed.Group[](1);
        groups[0] = only;
    }

    /// @notice A channel in a claim, which names host and token once.
    function group(Typed.Terms memory terms, uint256 rows) internal pure returns (Typed.Group memory) {
        return Typed.Group(terms.client, terms.signer, terms.closeDelay, terms.salt, rows);
    }

    function list(bytes32 only) internal pure returns (bytes32[] memory ids) {
        ids = new bytes32[](1);
        ids[0] = only;
    }

    function balance(address token_, address account) internal view returns (uint256) {
        return token_ == NATIVE ? account.balance : IERC20(token_).balanceOf(account);
    }

    function assertOutcome(
        IChannels.Outcome memory outcome,
        IChannels.Skip skip,
        uint256 hostPaid,
        uint256 developerPaid
    ) internal pure {
        vm.assertEq(uint256(outcome.skip), uint256(skip), "skip");
        vm.assertEq(outcome.hostPaid, hostPaid, "paid to the host");
        vm.assertEq(outcome.developerPaid, developerPaid, "paid to the developer");
    }
}
