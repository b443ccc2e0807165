/** The contracts' defences, each with the line that holds it and what stands there when it is switched off. */

/** `from` must stand in the file exactly once; it becomes `to`. */
export type Mutant = {
  name: string
  file: 'Channels' | 'Claims' | 'Hosts' | 'Tasks' | 'Till' | 'Typed'
  from: string
  to: string
}

export const MUTANTS: readonly Mutant[] = [
  channels(
    'anybody opens',
    'if (msg.sender != terms.client) revert NotClient(msg.sender, terms.client);\n        id',
    'id',
  ),
  channels('no authority of the client', '_requireSigned(Typed.hashOpen(id, amount), authority, terms.client);', ''),
  channels('a permit that fails is fatal', ' {} catch {}', ' {} catch { revert BadSignature(); }'),
  channels('zero parties', 'terms.signer == address(0) || terms.host == address(0)', 'false'),
  channels('no least delay', 'terms.closeDelay < MIN_CLOSE_DELAY || ', ''),
  channels('no largest delay', ' || terms.closeDelay > MAX_CLOSE_DELAY', ''),
  channels('an id opens twice', 'if (state.deposit != 0) revert AlreadyOpened(id);', ''),
  channels('value is not compared', 'if (msg.value != amount) revert WrongValue(msg.value, amount);', ''),
  channels('value beside a token', 'if (msg.value != 0) revert WrongValue(msg.value, 0);', ''),
  channels(
    'the amount counts, not what arrived',
    'arrived = IERC20(token).balanceOf(address(this)) - before;',
    'arrived = amount + before - before;',
  ),
  channels('empty deposits', 'if (arrived == 0) revert NothingDeposited();', ''),
  channels('no largest deposit', 'if (deposit > type(uint96).max) revert DepositTooLarge(deposit);', ''),
  claims('anybody claims', 'msg.sender == host || msg.sender == HOSTS.payeeOf(host)', 'true'),
  claims('payees do not claim', ' || msg.sender == HOSTS.payeeOf(host)', ''),
  claims('any authority', '_isSigned(Typed.hashClaimer(id, msg.sender), authorities[index], host)', 'true'),
  channels('a host needs a signature to release', 'if (msg.sender != terms.host) _requireSigned', '_requireSigned'),
  claims('older jobs', 'jobs < lane_.jobs || ', ''),
  claims('older host amounts', 'host < hostPaid || ', ''),
  claims('older developer amounts', ' || developer < developerPaid) return', ') return'),
  claims('no signature on vouchers', '!_isSignedDigest(digest, row.signature, signer)', 'false'),
  claims('unknown tasks', 'if (payee == address(0)) return Skip.UnknownTask;', ''),
  claims('tokens mixed', 'if (fee != 0 && token != desk.token) return Skip.WrongToken;', ''),
  claims('developers left out', 'developer + developerPaid < jobs * desk.till.fee()', 'false'),
  claims('more than the deposit', 'if (due > left) {', 'if (false) {'),
  claims('rounded down for the developer', '(left * developer + due - 1)', '(left * developer)'),
  claims('host not credited', 'if (hostPaid != 0) _credits[desk.token][host] += hostPaid;', ''),
  claims('developer not credited', 'desk.till = desk.till.withCredit(developer);', ''),
  claims('claims not counted', 'state.claimed += uint96(hostPaid + developersPaid);', ''),
  channels(
    'anybody starts to close',
    'if (msg.sender != terms.client) revert NotClient(msg.sender, terms.client);\n        if',
    'if',
  ),
  channels('a close started again', 'if (state.closesAt != 0) revert AlreadyClosing(state.closesAt);', ''),
  channels('finish without a close', 'state.closesAt == 0 || ', ''),
  channels('finish before the delay', ' || block.timestamp < state.closesAt', ''),
  channels(
    'release before it is claimed',
    'if (state.claimed < claimed) revert ClaimFirst(state.claimed, claimed);',
    '',
  ),
  channels(
    'release without the host',
    'if (msg.sender != terms.host) _requireSigned(Typed.hashRelease(id, claimed), hostSignature, terms.host);',
    '',
  ),
  channels('an end that does not last', 'state.closesAt = FINISHED;', ''),
  channels('a refused refund is lost', 'if (!sent) _credits[terms.token][terms.client] += refund;', ''),
  channels('a refund is sent and credited', 'if (!sent) _credits', '_credits'),
  channels('anybody withdraws anywhere', 'if (msg.sender != payee) revert NotPayee(msg.sender, payee);', ''),
  channels('credit stays after withdrawal', '_credits[token][account] = 0;', ''),
  channels('fees stay after withdrawal', 'tills[taskIds[i]] = till.emptied();', ''),
  channels('fees of others', 'if (TASKS.payeeOf(taskIds[i]) != payee) continue;', ''),
  channels(
    'withdraw to the hot key',
    '_withdraw(token, account, HOSTS.payeeOf(account));',
    '_withdraw(token, account, account);',
  ),
  channels(
    'top-up re-entered',
    'uint96 amount) external payable nonReentrant {\n        _topUp',
    'uint96 amount) external payable {\n        _topUp',
  ),
  claims('zero signs', ' && recovered != address(0)', ''),
  claims(
    'hosts of another market',
    'if (hosts.channels() != address(this)) revert NotPointingHere(address(hosts));',
    '',
  ),
  hosts('the hot key moves the payee', 'if (msg.sender != entry.payee) revert NotPayee(msg.sender, entry.payee);', ''),
  hosts('no delay of the bond', ' || block.timestamp < entry.unbondsAt', ''),
  hosts('the same output slashes', 'first.receipt.outputHash == second.receipt.outputHash', 'false'),
  hosts('other jobs slash', 'first.receipt.jobHash != second.receipt.jobHash ||', ''),
  hosts('unsigned evidence', 'if (_signerOf(second) != host) revert NotSignedByHost(1);', ''),
  hosts('the bond stays after slashing', '(entry.bond, entry.unbondsAt) = (0, 0);\n        rewards', 'rewards'),
  hosts('rewards twice', 'rewards[reporter] = 0;', ''),
  tasks('published twice', 'if (_entries[taskId].payee != address(0)) revert AlreadyPublished(taskId);', ''),
  tasks('one version twice', 'if (_versions[versionKey] != 0) revert VersionTaken(_versions[versionKey]);', ''),
  tasks('anybody moves the payee', 'if (msg.sender != entry.payee) revert NotPayee(msg.sender, entry.payee);', ''),
  tasks('anybody retires', 'if (msg.sender != entry.developer) revert NotDeveloper(msg.sender, entry.developer);', ''),
  channels(
    'permits re-entered',
    'Typed.Signature calldata permitSignature\n    ) external nonReentrant returns',
    'Typed.Signature calldata permitSignature\n    ) external returns',
  ),
  channels(
    'opening re-entered',
    'uint96 amount) external payable nonReentrant returns',
    'uint96 amount) external payable returns',
  ),
  channels(
    'finishing re-entered',
    'finishClose(Typed.Terms calldata terms) external nonReentrant',
    'finishClose(Typed.Terms calldata terms) external',
  ),
  channels(
    'release re-entered',
    'Typed.Signature calldata hostSignature\n    ) external nonReentrant',
    'Typed.Signature calldata hostSignature\n    ) external',
  ),
  channels(
    'withdrawal re-entered',
    'withdraw(address token, address account) external nonReentrant',
    'withdraw(address token, address account) external',
  ),
  channels('withdrawal elsewhere re-entered', 'address to) external nonReentrant', 'address to) external'),
  channels(
    'fees re-entered',
    'bytes32[] calldata taskIds) external nonReentrant',
    'bytes32[] calldata taskIds) external',
  ),
  channels(
    'nothing is withdrawn',
    'uint256 amount = _credits[token][account];\n        if (amount == 0) revert NothingToWithdraw();',
    'uint256 amount = _credits[token][account];',
  ),
  channels('no fees are withdrawn', '        }\n        if (amount == 0) revert NothingToWithdraw();', '        }'),
  channels('channels that never opened', 'if (state.deposit == 0) revert NotOpened(id);', ''),
  channels('channels that ended', 'if (state.closesAt == FINISHED) revert AlreadyFinished(id);', ''),
  claims('an authority for each group is not asked for', 'index < authorities.length && ', ''),
  claims(
    'an authority for anybody',
    'Typed.hashClaimer(id, msg.sender), authorities',
    'Typed.hashClaimer(id, host), authorities',
  ),
  claims('jobs not written', 'lane_.jobs = uint64(jobs);', ''),
  claims('host amounts not written', 'lane_.hostAmount = uint96(hostPaid + host);', ''),
  claims('developer amounts not written', 'lane_.developerAmount = uint96(developerPaid + developer);', ''),
  claims('a voucher that brings nothing', 'if (due == 0) return (Skip.Stale, 0, 0);', ''),
  claims('an empty channel', 'if (left == 0) return (Skip.EmptyChannel, 0, 0);', ''),
  claims('rows not counted against each other', 'left -= host + developer;', ''),
  claims('rows of others not passed over', '_skipGroup(desk, id, group.rows, rows);', ''),
  claims('the fee of another token remembered', 'till = newTill(fee);', 'till = newTill(0);'),
  channels(
    'a refund of everything',
    'uint256 refund = state.deposit - state.claimed;',
    'uint256 refund = state.deposit;',
  ),
  channels(
    'top-ups restart a close',
    'state.deposit = deposit;\n        emit ToppedUp',
    'if (state.closesAt != 0) state.closesAt = uint64(block.timestamp) + terms.closeDelay;\n        state.deposit = deposit;\n        emit ToppedUp',
  ),
  channels(
    'top-ups end a close',
    'state.deposit = deposit;\n        emit ToppedUp',
    'state.closesAt = 0;\n        state.deposit = deposit;\n        emit ToppedUp',
  ),
  channels('a close without its delay', 'uint64(block.timestamp) + terms.closeDelay;', 'uint64(block.timestamp);'),
  hosts('no payee', 'if (payee == address(0)) revert ZeroPayee();\n        if (_entries', 'if (_entries'),
  hosts('registered twice', 'if (_entries[msg.sender].payee != address(0)) revert AlreadyRegistered(msg.sender);', ''),
  hosts('unbonding restarted', 'if (entry.unbondsAt != 0) revert AlreadyUnbonding(entry.unbondsAt);', ''),
  hosts('a bond of any size', 'if (bond > type(uint96).max) revert BondTooLarge(bond);', ''),
  hosts(
    'the bond stays after it was paid',
    '(entry.bond, entry.unbondsAt) = (0, 0);\n\n        emit Unbonded',
    'emit Unbonded',
  ),
  hosts('other channels slash', 'first.receipt.channelId != second.receipt.channelId ||', ''),
  hosts('unsigned evidence first', 'if (_signerOf(first) != host) revert NotSignedByHost(0);', ''),
  hosts('receipts of every chain', 'Typed.VERSION, block.chainid, channels', 'Typed.VERSION, uint256(31337), channels'),
  hosts('the reporter gets all', 'uint256 reward = bond / 2;', 'uint256 reward = bond;'),
  hosts(
    'peer ids of any size',
    'if (peerId.length == 0 || peerId.length > MAX_PEER_ID_BYTES) revert BadPeerId(peerId.length);',
    '',
  ),
  hosts(
    'descriptions of any size',
    'if (bytes(metadata).length > MAX_METADATA_BYTES) revert BadMetadata(bytes(metadata).length);',
    '',
  ),
  tasks('no task id', 'if (taskId == 0) revert ZeroTaskId();', ''),
  tasks('no payee at first', 'if (payee == address(0)) revert ZeroPayee();\n        if (_entries', 'if (_entries'),
  tasks('retired twice', 'if (entry.retired) revert AlreadyRetired(taskId);', ''),
  tasks('names of any size', 'if (raw.length == 0 || raw.length > maxBytes) revert BadText(text);', ''),
  tasks('names of any letters', 'if (c <= 0x20 || c >= 0x7f || c == "/" || c == "@") revert BadText(text);', ''),
  tasks(
    'versions shared by all developers',
    'bytes32 versionKey = keccak256(abi.encode(msg.sender, name, version));',
    'bytes32 versionKey = keccak256(abi.encode(name, version));',
  ),
  typed('vouchers for every channel', 'mstore(add(at_, 0x20), channelId)', 'mstore(add(at_, 0x20), 0)'),
  typed(
    'vouchers without the developer',
    'calldatacopy(add(at_, 0x40), row, 0x80)\n            result := keccak256(at_, 0xc0)',
    'calldatacopy(add(at_, 0x40), row, 0x60)\n            result := keccak256(at_, 0xa0)',
  ),
  typed(
    'channels without a salt',
    'calldatacopy(add(at_, 0x20), terms, 0xc0)\n            result := keccak256(at_, 0xe0)',
    'calldatacopy(add(at_, 0x20), terms, 0xa0)\n            result := keccak256(at_, 0xc0)',
  ),
  typed('releases of any sum', 'abi.encode(RELEASE, channelId, claimed)', 'abi.encode(RELEASE, channelId)'),
  typed('openings of any amount', 'abi.encode(OPEN, channelId, amount)', 'abi.encode(OPEN, channelId)'),
  claims('skips without a reason', 'return reason;', 'return Skip.None;'),
  channels(
    'permits at top-up re-entered',
    'Typed.Signature calldata permitSignature\n    ) external nonReentrant {',
    'Typed.Signature calldata permitSignature\n    ) external {',
  ),
  channels(
    'a permit of anybody tops up',
    '_permit(terms.token, msg.sender, amount',
    '_permit(terms.token, terms.client, amount',
  ),
  channels(
    'no permit is sent at top-up',
    '_permit(terms.token, msg.sender, amount, permitDeadline, permitSignature);',
    '',
  ),
  claims('one row of anybody', 'if (_isHostSide(terms.host)) (skip, host, developer)', '(skip, host, developer)'),
  claims('one row not counted', '_count(state, host, developer);', ''),
  claims('one row not credited', '_settle(desk, terms.host, host);', ''),
  claims('one row skipped in silence', '_skip(id, row.taskId, skip);\n        }\n    }', '}\n    }'),
  claims('many rows not counted', '_count(state, hostPaid, developersPaid);', ''),
  claims('many rows not credited', '_settle(desk, host, hostPaid);', ''),
  claims("one channel's pay for another's", 'hostPaid += _claimGroup', 'hostPaid = _claimGroup'),
  claims('tills are mixed up', 'taskId != desk.taskId || ', ''),
  claims('no task is a task', ' || !desk.till.isKnown()', ''),
  claims('a till is lost when another is taken', '_putTill(desk);\n        (desk.taskId', '(desk.taskId'),
  claims('the last till is lost', '_putTill(desk);\n        unchecked', 'unchecked'),
  claims('claims after the end', 'state.closesAt == FINISHED ? 0 : ', ''),
  till('credit is the fee', 'Till.unwrap(till) + (amount << 128)', 'Till.unwrap(till) + amount'),
  typed('groups of any salt', 'calldatacopy(add(at_, 0xa0), add(group, 0x40), 0x40)', ''),
  typed('groups of any token', 'mstore(add(at_, 0x80), token)', 'mstore(add(at_, 0x80), 0)'),
  typed('any claimer', 'abi.encode(CLAIMER, channelId, claimer)', 'abi.encode(CLAIMER, channelId)'),
]

function channels(name: string, from: string, to: string): Mutant {
  return { name, file: 'Channels', from, to }
}

function claims(name: string, from: string, to: string): Mutant {
  return { name, file: 'Claims', from, to }
}

function hosts(name: string, from: string, to: string): Mutant {
  return { name, file: 'Hosts', from, to }
}

function tasks(name: string, from: string, to: string): Mutant {
  return { name, file: 'Tasks', from, to }
}

function till(name: string, from: string, to: string): Mutant {
  return { name, file: 'Till', from, to }
}

function typed(name: string, from: string, to: string): Mutant {
  return { name, file: 'Typed', from, to }
}
