// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Typed} from "../Typed.sol";

/// @title The registry of hosts
/// @notice A host is its hot key: the address that signs offers, quotes and receipts and stands in channels. It names a
/// payee, which may be cold; from then on only the payee can name another, so a stolen hot key redirects nothing. The
/// bond is in the chain's own currency. It is lost for one thing only, which two signatures prove without anybody's
/// word: two receipts for one job with different outputs. Half of it is burned and half goes to the reporter; burning
/// makes a host that reports itself lose, and nobody gains by luring hosts into failing beyond the reporter's half.
interface IHosts {
    /// @notice One host. `unbondsAt` is zero unless it is leaving.
    struct Host {
        address host;
        address payee;
        uint96 bond;
        uint64 unbondsAt;
        bytes peerId;
        string metadata;
    }

    /// @notice A receipt with the path to the root that its host signed; a lone receipt has an empty path.
    struct Evidence {
        Typed.Receipt receipt;
        bytes32[] proof;
        Typed.Signature signature;
    }

    event Registered(address indexed host, address indexed payee, bytes peerId, string metadata);
    event Updated(address indexed host, bytes peerId, string metadata);
    event PayeeChanged(address indexed host, address indexed payee);
    event Bonded(address indexed host, uint256 amount, uint256 bond);
    event Unbonding(address indexed host, uint64 unbondsAt);
    event Unbonded(address indexed host, uint256 amount);
    event Slashed(address indexed host, address indexed reporter, uint256 burned, uint256 reward);
    event RewardWithdrawn(address indexed reporter, uint256 amount);

    error ZeroPayee();
    error BadPeerId(uint256 bytesGiven);
    error BadMetadata(uint256 bytesGiven);
    error AlreadyRegistered(address host);
    error UnknownHost(address host);
    error NotPayee(address caller, address payee);
    error BondTooLarge(uint256 amount);
    error NoBond(address host);
    error AlreadyUnbonding(uint64 unbondsAt);
    error NotUnbonded(uint64 unbondsAt);
    error NotContradicting();
    error NotSignedByHost(uint256 evidence);
    error NothingToWithdraw();

    /// @notice Registers the caller. The value sent is its bond, which may be nothing.
    /// @param payee Receives the bond back and everything that Channels credits to the host.
    /// @param peerId The libp2p peer id, 1 to 64 bytes.
    /// @param metadata At most 512 bytes of anything, for people.
    function register(address payee, bytes calldata peerId, string calldata metadata) external payable;

    /// @notice Replaces peer id and metadata of the caller.
    function update(bytes calldata peerId, string calldata metadata) external;

    /// @notice Moves the payee of `host`. Only the present payee may.
    function setPayee(address host, address payee) external;

    /// @notice Adds the value sent to the bond of `host`. Anybody may; an unbonding under way keeps its time.
    function addBond(address host) external payable;

    /// @notice Starts to take the whole bond of the caller back. It can still be slashed until it is withdrawn.
    function unbond() external;

    /// @notice Sends the bond to the payee once the delay has run. Anybody may call.
    function withdrawBond(address host) external;

    /// @notice Takes the bond of a host that signed two receipts for one job (channel and job hash) with different outputs.
    function slash(address host, Evidence calldata first, Evidence calldata second) external;

    /// @notice Sends a reporter its share of the bonds it had slashed. Anybody may call.
    function withdrawReward(address reporter) external;

    /// @notice Where money for `account` goes: the payee of a registered host, or the account itself.
    function payeeOf(address account) external view returns (address);

    /// @notice One host. Reverts where it is unknown.
    function get(address host) external view returns (Host memory);

    /// @notice What a reporter may withdraw.
    function rewards(address reporter) external view returns (uint256);

    /// @notice How many hosts ever registered.
    function count() external view returns (uint256);

    /// @notice Up to `limit` hosts in the order of registration, from the `start`-th on. Beyond the end: none.
    function page(uint256 start, uint256 limit) external view returns (Host[] memory);

    /// @notice The Channels contract, which is the verifying contract of every receipt.
    function channels() external view returns (address);
}
