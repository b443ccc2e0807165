// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title The registry of task packages
/// @notice A task is named by the 32-byte digest of its package's root CID. What is published stays as it is; only the
/// payee may be changed, and only by the payee. The package itself names its developer and its fee, so whoever reads an
/// entry compares it with the package: an entry made by somebody else is of no use to anybody.
interface ITasks {
    /// @notice One published task. `retired` asks hosts and clients for no new quotes; claims still pay.
    struct Task {
        bytes32 taskId;
        address developer;
        address payee;
        address token;
        uint96 fee;
        uint64 publishedAt;
        bool retired;
        string name;
        string version;
    }

    event Published(bytes32 indexed taskId, address indexed developer, address token, uint96 fee, string name, string version);
    event PayeeChanged(bytes32 indexed taskId, address indexed payee);
    event Retired(bytes32 indexed taskId);

    error ZeroTaskId();
    error ZeroPayee();
    error AlreadyPublished(bytes32 taskId);
    error UnknownTask(bytes32 taskId);
    error VersionTaken(bytes32 taskId);
    error BadText(string text);
    error NotPayee(address caller, address payee);
    error NotDeveloper(address caller, address developer);
    error AlreadyRetired(bytes32 taskId);

    /// @notice Publishes a task for good; the caller is its developer.
    /// @param fee Per billed job, in the smallest unit of `token` (zero address: the chain's own currency).
    /// @param payee Who is paid. May be a cold address: the developer's key cannot change it.
    /// @param name 1 to 64 printable ASCII characters without space, '/' and '@', since people write developer/name@version.
    /// @param version 1 to 32 of the same; one task for each (developer, name, version), ever.
    function publish(
        bytes32 taskId,
        uint96 fee,
        address token,
        address payee,
        string calldata name,
        string calldata version
    ) external;

    /// @notice Moves the payee. Only the present payee may. What was earned and not yet withdrawn goes to the new one.
    function setPayee(bytes32 taskId, address payee) external;

    /// @notice Asks for no new quotes. Only the developer may, once; jobs already vouched for are still paid.
    function retire(bytes32 taskId) external;

    /// @notice What a claim must know. `payee` is zero where the task is unknown.
    function priceOf(bytes32 taskId) external view returns (address payee, uint96 fee, address token);

    /// @notice Who is paid for a task; zero where it is unknown.
    function payeeOf(bytes32 taskId) external view returns (address);

    /// @notice The whole entry. Reverts where the task is unknown.
    function get(bytes32 taskId) external view returns (Task memory);

    /// @notice The task published last under (developer, name); zero where there is none.
    function latest(address developer, string calldata name) external view returns (bytes32 taskId);

    /// @notice The task of (developer, name, version); zero where there is none.
    function byVersion(address developer, string calldata name, string calldata version) external view returns (bytes32 taskId);

    /// @notice How many tasks there are, by anybody.
    function count() external view returns (uint256);

    /// @notice How many tasks `developer` published.
    function countOf(address developer) external view returns (uint256);

    /// @notice Up to `limit` tasks in the order of publication, from the `start`-th on. Beyond the end: none.
    function page(uint256 start, uint256 limit) external view returns (Task[] memory);

    /// @notice As `page`, for one developer.
    function pageOf(address developer, uint256 start, uint256 limit) external view returns (Task[] memory);
}
