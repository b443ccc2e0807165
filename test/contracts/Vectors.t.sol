// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {Typed} from "../../contracts/Typed.sol";
import {IChannelsWhole, Market} from "./support/Market.sol";

/// @notice The digests and signatures of the contracts against ethers' opinion in vectors.json; vectors.test.ts holds
/// TypeScript to the same file.
contract VectorsTest is Market {
    string private json;
    string private where;
    uint256 private constant CASES = 12;

    function setUp() public override {
        super.setUp();
        json = vm.readFile("test/contracts/vectors.json");
    }

    function test_P22_I22_every_digest_of_the_contracts() public {
        for (uint256 i = 0; i < CASES; ++i) _check(string.concat(".cases[", vm.toString(i), "]"));
    }

    function test_trees_of_receipts_have_the_same_roots() public view {
        for (uint256 t = 0; t < 6; ++t) {
            string memory tree = string.concat(".trees[", vm.toString(t), "]");
            bytes32[] memory leaves = vm.parseJsonBytes32Array(json, string.concat(tree, ".leaves"));
            bytes32 root = vm.parseJsonBytes32(json, string.concat(tree, ".root"));
            for (uint256 i = 0; i < leaves.length; ++i) {
                string memory key = string.concat(tree, ".proofs[", vm.toString(i), "]");
                bytes32[] memory proof = vm.parseJsonBytes32Array(json, key);
                vm.assertEq(MerkleProof.processProof(proof, leaves[i]), root, key);
            }
        }
    }

    function _check(string memory path) private {
        where = path;
        vm.chainId(_uint(".chainId"));
        IChannelsWhole here = IChannelsWhole(_address(".channels"));
        vm.etch(address(here), address(channels).code);
        channels = here;

        bytes32 id = here.channelId(_terms());
        _same(id, ".channel");
        _same(digest(Typed.hashOpen(id, uint96(_uint(".open.value.amount")))), ".open");
        _same(digest(voucherHash(id, _row())), ".voucher");
        _same(digest(Typed.hashRelease(id, uint96(_uint(".release.value.claimed")))), ".release");
        _same(digest(Typed.hashClaimer(id, _address(".claimer.value.claimer"))), ".claimer");
        bytes32 receipt = this.hashReceipt(_receipt(id));
        vm.assertEq(receipt, _word(".receipt.hash"), where);
        _same(digest(Typed.hashReceipts(receipt)), ".receipts");
        _same(digest(_texts("Offer(bytes32 body)", ".offer.text")), ".offer");
        _same(digest(_texts("Quote(bytes32 body)", ".quote.text")), ".quote");
        _same(digest(_session(id)), ".session");
    }

    /// @dev By an external call, because the library takes calldata.
    function hashReceipt(Typed.Receipt calldata receipt) external pure returns (bytes32) {
        return Typed.hashReceipt(receipt);
    }

    /// @dev The digest is the vector's, and the vector's signature over it is one of the vector's key.
    function _same(bytes32 ours, string memory what) private view {
        vm.assertEq(ours, _word(string.concat(what, ".digest")), string.concat(where, what));
        bytes memory signature = vm.parseJsonBytes(json, string.concat(where, what, ".signature"));
        (bytes32 r, bytes32 s) = abi.decode(signature, (bytes32, bytes32));
        address by = ecrecover(ours, uint8(signature[64]), r, s);
        vm.assertEq(by, _address(".channel.value.signer"), string.concat(where, what, " signed by"));
    }

    function _terms() private view returns (Typed.Terms memory t) {
        t.client = _address(".channel.value.client");
        t.signer = _address(".channel.value.signer");
        t.host = _address(".channel.value.host");
        t.token = _address(".channel.value.token");
        t.closeDelay = uint64(_uint(".channel.value.closeDelay"));
        t.salt = _word(".channel.value.salt");
    }

    function _row() private view returns (Typed.Row memory r) {
        r.taskId = _word(".voucher.value.taskId");
        r.jobs = uint64(_uint(".voucher.value.jobs"));
        r.hostAmount = uint96(_uint(".voucher.value.hostAmount"));
        r.developerAmount = uint96(_uint(".voucher.value.developerAmount"));
    }

    function _receipt(bytes32 id) private view returns (Typed.Receipt memory r) {
        r.channelId = id;
        r.jobHash = _word(".receipt.value.jobHash");
        r.taskId = _word(".receipt.value.taskId");
        r.inputHash = _word(".receipt.value.inputHash");
        r.outputHash = _word(".receipt.value.outputHash");
        r.status = uint8(_uint(".receipt.value.status"));
        r.hostAmount = uint96(_uint(".receipt.value.hostAmount"));
        r.developerAmount = uint96(_uint(".receipt.value.developerAmount"));
        r.startedAt = uint64(_uint(".receipt.value.startedAt"));
        r.endedAt = uint64(_uint(".receipt.value.endedAt"));
    }

    function _session(bytes32 id) private view returns (bytes32) {
        bytes32 type_ = keccak256("Session(bytes32 channelId,bytes32 clientPeer,bytes32 hostPeer,uint64 issuedAt)");
        bytes32 clientPeer = keccak256(bytes(vm.parseJsonString(json, string.concat(where, ".session.peers.clientPeer"))));
        bytes32 hostPeer = keccak256(bytes(vm.parseJsonString(json, string.concat(where, ".session.peers.hostPeer"))));
        return keccak256(abi.encode(type_, id, clientPeer, hostPeer, _uint(".session.value.issuedAt")));
    }

    function _texts(string memory type_, string memory key) private view returns (bytes32) {
        bytes32 body = keccak256(bytes(vm.parseJsonString(json, string.concat(where, key))));
        return keccak256(abi.encode(keccak256(bytes(type_)), body));
    }

    function _uint(string memory key) private view returns (uint256) {
        return vm.parseJsonUint(json, string.concat(where, key));
    }

    function _address(string memory key) private view returns (address) {
        return vm.parseJsonAddress(json, string.concat(where, key));
    }

    function _word(string memory key) private view returns (bytes32) {
        return vm.parseJsonBytes32(json, string.concat(where, key));
    }
}
