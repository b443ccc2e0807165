// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {IHosts} from "./interfaces/IHosts.sol";
import {Typed} from "./Typed.sol";

/// @title Hosts
/// @notice See IHosts. Nobody owns this contract and nothing in it can be switched off.
contract Hosts is IHosts {
    struct Entry {
        address payee;
        uint96 bond;
        uint64 unbondsAt;
        bytes peerId;
        string metadata;
    }

    /// @notice Longer than a client needs to find and report a contradiction in what it was sent.
    uint64 public constant UNBOND_DELAY = 7 days;

    address private constant BURNED = 0x000000000000000000000000000000000000dEaD;
    uint256 private constant MAX_PEER_ID_BYTES = 64;
    uint256 private constant MAX_METADATA_BYTES = 512;

    /// @inheritdoc IHosts
    address public immutable channels;
    /// @inheritdoc IHosts
    mapping(address reporter => uint256) public rewards;

    mapping(address host => Entry) private _entries;
    address[] private _all;

    /// @param channels_ Where Channels will be deployed; its constructor checks that both name each other.
    constructor(address channels_) {
        channels = channels_;
    }

    /// @inheritdoc IHosts
    function register(address payee, bytes calldata peerId, string calldata metadata) external payable {
        if (payee == address(0)) revert ZeroPayee();
        if (_entries[msg.sender].payee != address(0)) revert AlreadyRegistered(msg.sender);
        _requireSizes(peerId, metadata);

        _entries[msg.sender] = Entry(payee, 0, 0, peerId, metadata);
        _all.push(msg.sender);
        emit Registered(msg.sender, payee, peerId, metadata);

        if (msg.value != 0) _addBond(msg.sender);
    }

    /// @inheritdoc IHosts
    function update(bytes calldata peerId, string calldata metadata) external {
        Entry storage entry = _known(msg.sender);
        _requireSizes(peerId, metadata);

        entry.peerId = peerId;
        entry.metadata = metadata;

        emit Updated(msg.sender, peerId, metadata);
    }

    /// @inheritdoc IHosts
    function setPayee(address host, address payee) external {
        Entry storage entry = _known(host);
        if (payee == address(0)) revert ZeroPayee();
        if (msg.sender != entry.payee) revert NotPayee(msg.sender, entry.payee);

        entry.payee = payee;

        emit PayeeChanged(host, payee);
    }

    /// @inheritdoc IHosts
    function addBond(address host) external payable {
        _known(host);
        _addBond(host);
    }

    /// @inheritdoc IHosts
    function unbond() external {
        Entry storage entry = _known(msg.sender);
        if (entry.bond == 0) revert NoBond(msg.sender);
        if (entry.unbondsAt != 0) revert AlreadyUnbonding(entry.unbondsAt);

        entry.unbondsAt = uint64(block.timestamp) + UNBOND_DELAY;

        emit Unbonding(msg.sender, entry.unbondsAt);
    }

    /// @inheritdoc IHosts
    function withdrawBond(address host) external {
        Entry storage entry = _known(host);
        if (entry.unbondsAt == 0 || block.timestamp < entry.unbondsAt) revert NotUnbonded(entry.unbondsAt);
        uint256 amount = entry.bond;

        (entry.bond, entry.unbondsAt) = (0, 0);

        emit Unbonded(host, amount);
        Address.sendValue(payable(entry.payee), amount);
    }

    /// @inheritdoc IHosts
    function slash(address host, Evidence calldata first, Evidence calldata second) external {
        Entry storage entry = _known(host);
        uint256 bond = entry.bond;
        if (bond == 0) revert NoBond(host);
        if (
            first.receipt.channelId != second.receipt.channelId ||
            first.receipt.jobHash != second.receipt.jobHash ||
            first.receipt.outputHash == second.receipt.outputHash
        ) revert NotContradicting();
        if (_signerOf(first) != host) revert NotSignedByHost(0);
        if (_signerOf(second) != host) revert NotSignedByHost(1);

        uint256 reward = bond / 2;
        (entry.bond, entry.unbondsAt) = (0, 0);
        rewards[msg.sender] += reward;

        emit Slashed(host, msg.sender, bond - reward, reward);
        Address.sendValue(payable(BURNED), bond - reward);
    }

    /// @inheritdoc IHosts
    function withdrawReward(address reporter) external {
        uint256 amount = rewards[reporter];
        if (amount == 0) revert NothingToWithdraw();

        rewards[reporter] = 0;

        emit RewardWithdrawn(reporter, amount);
        Address.sendValue(payable(reporter), amount);
    }

    /// @inheritdoc IHosts
    function payeeOf(address account) external view returns (address) {
        address payee = _entries[account].payee;
        return payee == address(0) ? account : payee;
    }

    /// @inheritdoc IHosts
    function get(address host) external view returns (Host memory) {
        _known(host);
        return _read(host);
    }

    /// @inheritdoc IHosts
    function count() external view returns (uint256) {
        return _all.length;
    }

    /// @inheritdoc IHosts
    function page(uint256 start, uint256 limit) external view returns (Host[] memory hosts) {
        uint256 left = start < _all.length ? _all.length - start : 0;
        hosts = new Host[](limit < left ? limit : left);
        for (uint256 i = 0; i < hosts.length; ++i) hosts[i] = _read(_all[start + i]);
    }

    function _addBond(address host) private {
        Entry storage entry = _entries[host];
        uint256 bond = entry.bond + msg.value;
        if (bond > type(uint96).max) revert BondTooLarge(bond);

        entry.bond = uint96(bond);

        emit Bonded(host, msg.value, bond);
    }

    /// @dev The domain is built anew each time, so that a fork with another chain id never shares signatures.
    function _signerOf(Evidence calldata evidence) private view returns (address signer) {
        bytes32 root = MerkleProof.processProofCalldata(evidence.proof, Typed.hashReceipt(evidence.receipt));
        bytes32 separator = keccak256(
            abi.encode(Typed.DOMAIN, Typed.NAME, Typed.VERSION, block.chainid, channels)
        );
        bytes32 digest = MessageHashUtils.toTypedDataHash(separator, Typed.hashReceipts(root));
        (signer, , ) = ECDSA.tryRecover(digest, evidence.signature.v, evidence.signature.r, evidence.signature.s);
    }

    function _read(address host) private view returns (Host memory) {
        Entry storage entry = _entries[host];
        return Host(host, entry.payee, entry.bond, entry.unbondsAt, entry.peerId, entry.metadata);
    }

    function _known(address host) private view returns (Entry storage entry) {
        entry = _entries[host];
        if (entry.payee == address(0)) revert UnknownHost(host);
    }

    function _requireSizes(bytes calldata peerId, string calldata metadata) private pure {
        if (peerId.length == 0 || peerId.length > MAX_PEER_ID_BYTES) revert BadPeerId(peerId.length);
        if (bytes(metadata).length > MAX_METADATA_BYTES) revert BadMetadata(bytes(metadata).length);
    }
}
