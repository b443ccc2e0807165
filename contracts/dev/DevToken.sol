// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";

/// @title The token of a market on one machine
/// @notice For devnets and tests: an ordinary ERC-20 with permit and 6 decimals, like the dollar tokens. The deployer
/// gets all of it.
contract DevToken is ERC20Permit {
    constructor(uint256 supply) ERC20("MECA Dollar", "MUSD") ERC20Permit("MECA Dollar") {
        _mint(msg.sender, supply);
    }

    function decimals() public pure override returns (uint8) {
        return 6;
    }
}
