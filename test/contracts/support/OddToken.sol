// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice A token with knobs for everything that tokens in the wild do wrong: fees, no or false return values, blocked
/// accounts, pauses, calls into other contracts, balances that change by themselves, amounts that it refuses.
contract OddToken {
    enum Reply {
        True,
        None,
        False,
        Garbage
    }

    mapping(address => uint256) public balanceOf;
    mapping(address => mapping(address => uint256)) public allowance;
    mapping(address => bool) public blocked;
    uint256 public feePercent;
    Reply public reply;
    bool public paused;
    bool public refusesZero;
    uint256 public most = type(uint256).max;
    address public hook;
    bytes public hookData;
    bool public hookSucceeded;

    function mint(address to, uint256 amount) external {
        balanceOf[to] += amount;
    }

    function burn(address from, uint256 amount) external {
        balanceOf[from] -= amount;
    }

    function setFee(uint256 percent) external {
        feePercent = percent;
    }

    function setReply(Reply reply_) external {
        reply = reply_;
    }

    function setBlocked(address account, bool on) external {
        blocked[account] = on;
    }

    function setPaused(bool on) external {
        paused = on;
    }

    function setRefusesZero(bool on) external {
        refusesZero = on;
    }

    function setMost(uint256 most_) external {
        most = most_;
    }

    /// @notice Calls once, at the next transfer.
    function setHook(address target, bytes calldata data) external {
        (hook, hookData, hookSucceeded) = (target, data, false);
    }

    function approve(address spender, uint256 amount) external returns (bool) {
        allowance[msg.sender][spender] = amount;
        return true;
    }

    function transfer(address to, uint256 amount) external {
        _move(msg.sender, to, amount);
        _reply();
    }

    function transferFrom(address from, address to, uint256 amount) external {
        allowance[from][msg.sender] -= amount;
        _move(from, to, amount);
        _reply();
    }

    function _move(address from, address to, uint256 amount) private {
        require(!paused && !blocked[from] && !blocked[to], "not now");
        if (reply == Reply.False) return;
        require(!(refusesZero && amount == 0) && amount <= most, "not that much");
        if (hook != address(0)) {
            address target = hook;
            hook = address(0);
            (hookSucceeded, ) = target.call(hookData);
        }
        balanceOf[from] -= amount;
        balanceOf[to] += amount - (amount * feePercent) / 100;
    }

    function _reply() private view {
        if (reply == Reply.None) return;
        uint256 word = reply == Reply.True ? 1 : reply == Reply.False ? 0 : 2;
        assembly {
            mstore(0, word)
            return(0, 32)
        }
    }
}

/// @notice An account that does with native currency what it is told: refuse it, waste gas, or call back.
contract OddReceiver {
    bool public refuses;
    bool public wastes;
    address public target;
    bytes public data;
    bool public succeeded;

    function setRefuses(bool on) external {
        refuses = on;
    }

    function setWastes(bool on) external {
        wastes = on;
    }

    function setCall(address target_, bytes calldata data_) external {
        (target, data) = (target_, data_);
    }

    function execute(address to, uint256 value, bytes calldata call_) external returns (bytes memory) {
        (bool ok, bytes memory result) = to.call{value: value}(call_);
        require(ok, "the call failed");
        return result;
    }

    receive() external payable {
        require(!refuses, "no thanks");
        if (wastes) {
            while (true) {}
        }
        if (target != address(0)) (succeeded, ) = target.call(data);
    }
}
