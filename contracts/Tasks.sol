// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ITasks} from "./interfaces/ITasks.sol";

/// @title Tasks
/// @notice See ITasks. Nobody owns this contract and nothing in it can be switched off.
contract Tasks is ITasks {
    /// @dev The first slot is all that most claims read; the second is read where the fee is not zero.
    struct Entry {
        address payee;
        uint96 fee;
        address token;
        uint64 publishedAt;
        bool retired;
        address developer;
        string name;
        string version;
    }

    uint256 private constant MAX_NAME_BYTES = 64;
    uint256 private constant MAX_VERSION_BYTES = 32;

    mapping(bytes32 taskId => Entry) private _entries;
    mapping(bytes32 key => bytes32 taskId) private _latest;
    mapping(bytes32 key => bytes32 taskId) private _versions;
    mapping(address developer => bytes32[]) private _byDeveloper;
    bytes32[] private _all;

    /// @inheritdoc ITasks
    function publish(
        bytes32 taskId,
        uint96 fee,
        address token,
        address payee,
        string calldata name,
        string calldata version
    ) external {
        bytes32 versionKey = keccak256(abi.encode(msg.sender, name, version));
        if (taskId == 0) revert ZeroTaskId();
        if (payee == address(0)) revert ZeroPayee();
        if (_entries[taskId].payee != address(0)) revert AlreadyPublished(taskId);
        if (_versions[versionKey] != 0) revert VersionTaken(_versions[versionKey]);
        _requireText(name, MAX_NAME_BYTES);
        _requireText(version, MAX_VERSION_BYTES);

        _entries[taskId] = Entry(payee, fee, token, uint64(block.timestamp), false, msg.sender, name, version);
        _versions[versionKey] = taskId;
        _latest[keccak256(abi.encode(msg.sender, name))] = taskId;
        _byDeveloper[msg.sender].push(taskId);
        _all.push(taskId);

        emit Published(taskId, msg.sender, token, fee, name, version);
    }

    /// @inheritdoc ITasks
    function setPayee(bytes32 taskId, address payee) external {
        Entry storage entry = _known(taskId);
        if (payee == address(0)) revert ZeroPayee();
        if (msg.sender != entry.payee) revert NotPayee(msg.sender, entry.payee);

        entry.payee = payee;

        emit PayeeChanged(taskId, payee);
    }

    /// @inheritdoc ITasks
    function retire(bytes32 taskId) external {
        Entry storage entry = _known(taskId);
        if (msg.sender != entry.developer) revert NotDeveloper(msg.sender, entry.developer);
        if (entry.retired) revert AlreadyRetired(taskId);

        entry.retired = true;

        emit Retired(taskId);
    }

    /// @inheritdoc ITasks
    function priceOf(bytes32 taskId) external view returns (address payee, uint96 fee, address token) {
        Entry storage entry = _entries[taskId];
        (payee, fee) = (entry.payee, entry.fee);
        if (fee != 0) token = entry.token;
    }

    /// @inheritdoc ITasks
    function payeeOf(bytes32 taskId) external view returns (address) {
        return _entries[taskId].payee;
    }

    /// @inheritdoc ITasks
    function get(bytes32 taskId) external view returns (Task memory) {
        _known(taskId);
        return _read(taskId);
    }

    /// @inheritdoc ITasks
    function latest(address developer, string calldata name) external view returns (bytes32) {
        return _latest[keccak256(abi.encode(developer, name))];
    }

    /// @inheritdoc ITasks
    function byVersion(address developer, string calldata name, string calldata version) external view returns (bytes32) {
        return _versions[keccak256(abi.encode(developer, name, version))];
    }

    /// @inheritdoc ITasks
    function count() external view returns (uint256) {
        return _all.length;
    }

    /// @inheritdoc ITasks
    function countOf(address developer) external view returns (uint256) {
        return _byDeveloper[developer].length;
    }

    /// @inheritdoc ITasks
    function page(uint256 start, uint256 limit) external view returns (Task[] memory) {
        return _page(_all, start, limit);
    }

    /// @inheritdoc ITasks
    function pageOf(address developer, uint256 start, uint256 limit) external view returns (Task[] memory) {
        return _page(_byDeveloper[developer], start, limit);
    }

    function _page(bytes32[] storage ids, uint256 start, uint256 limit) private view returns (Task[] memory tasks) {
        uint256 left = start < ids.length ? ids.length - start : 0;
        tasks = new Task[](limit < left ? limit : left);
        for (uint256 i = 0; i < tasks.length; ++i) tasks[i] = _read(ids[start + i]);
    }

    function _read(bytes32 taskId) private view returns (Task memory task) {
        Entry storage entry = _entries[taskId];
        task.taskId = taskId;
        task.developer = entry.developer;
        task.payee = entry.payee;
        task.token = entry.token;
        task.fee = entry.fee;
        task.publishedAt = entry.publishedAt;
        task.retired = entry.retired;
        task.name = entry.name;
        task.version = entry.version;
    }

    function _known(bytes32 taskId) private view returns (Entry storage entry) {
        entry = _entries[taskId];
        if (entry.payee == address(0)) revert UnknownTask(taskId);
    }

    function _requireText(string calldata text, uint256 maxBytes) private pure {
        bytes calldata raw = bytes(text);
        if (raw.length == 0 || raw.length > maxBytes) revert BadText(text);
        for (uint256 i = 0; i < raw.length; ++i) {
            bytes1 c = raw[i];
            if (c <= 0x20 || c >= 0x7f || c == "/" || c == "@") revert BadText(text);
        }
    }
}
