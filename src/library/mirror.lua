-- The mirror stands after a library that is tested by a table, and after the table. It registers the functions that the
-- harness calls. Each calls the library's own by the table, and then writes down, under the keys and in the words that
-- the properties read, what the library's keys say of the one execution that the call names. It decides nothing: what
-- the library did is what the properties see. `docs/your-own-library.md` says what stands in a table.
do

-- What the harness passes to each function, in order.
local PASSED = {
  ff_create_execution = { 'id', 'namespace', 'lane', 'kind', 'priority', 'creator', 'policy', 'payload', 'delay_until' },
  ff_issue_claim_grant = { 'id', 'worker', 'instance', 'lane', 'capability_hash', 'grant_ttl' },
  ff_claim_execution = { 'id', 'worker', 'instance', 'lane', 'capability_hash', 'lease_id', 'lease_ttl' },
  ff_renew_lease = { 'id', 'attempt_index', 'attempt_id', 'lease_id', 'epoch', 'lease_ttl' },
  ff_complete_execution = { 'id', 'lease_id', 'epoch', 'attempt_id', 'result' },
  ff_mark_lease_expired_if_due = { 'id' },
}

-- How a core says where its execution stands.
local STATES = {
  waiting = { lifecycle_phase = 'runnable', ownership_state = 'unowned', eligibility_state = 'eligible_now',
    terminal_outcome = 'none', public_state = 'waiting' },
  running = { lifecycle_phase = 'active', ownership_state = 'leased', eligibility_state = 'not_applicable',
    terminal_outcome = 'none', public_state = 'active' },
  done = { lifecycle_phase = 'terminal', ownership_state = 'unowned', eligibility_state = 'not_applicable',
    terminal_outcome = 'success', public_state = 'completed' },
}

local NEVER = 9999999999999
local spec = grantsim

-- What of a lease the library's functions are told that its holder calls, in order: by nothing else can it tell a former
-- one. `<worker>`, `<instance>` and `<token>` are found by the lease's id.
local function told()
  local of = { worker = 'lease_id', instance = 'lease_id', token = 'lease_id', lease_id = 'lease_id', epoch = 'epoch',
    attempt_id = 'attempt_id', attempt_index = 'attempt_index' }
  local is_told, list = {}, {}
  for _, name in ipairs({ 'ff_renew_lease', 'ff_complete_execution' }) do
    local row = spec.calls[name] or {}
    for _, templates in ipairs({ row.keys or {}, row.args or {} }) do
      for _, template in ipairs(templates) do
        for word in string.gmatch(template, '<([%w_]+)>') do
          local part = of[word]
          if part and not is_told[part] then
            is_told[part], list[#list + 1] = true, part
          end
        end
      end
    end
  end
  table.sort(list)
  return table.concat(list, ' ')
end

local function now_ms()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- `desk:ticket:<id>`, with what the call says.
local function filled(template, call)
  return (string.gsub(template, '<([%w_]+)>', function(name) return call[name] or '' end))
end

local function all_filled(templates, call)
  local list = {}
  for i, template in ipairs(templates or {}) do list[i] = filled(template, call) end
  return list
end

-- A hash as a table, a string as { value = … }, nil when there is none; and the last millisecond of a key that goes by
-- itself.
local function read(key)
  local kind, found = redis.call('TYPE', key).ok, nil
  if kind == 'hash' then
    local flat = redis.call('HGETALL', key)
    found = {}
    for i = 1, #flat, 2 do found[flat[i]] = flat[i + 1] end
  elseif kind == 'string' then
    found = { value = redis.call('GET', key) }
  end
  local last = redis.call('PEXPIRETIME', key)
  return found, last >= 0 and last or nil
end

-- A field that the table names, or what its function makes of the hash.
local function field(hash, name)
  if type(name) == 'function' then return name(hash) end
  return name and hash[name]
end

-- Writes a hash with its fields in the order of their names: `pairs` has none.
local function write(key, hash)
  local names, flat = {}, {}
  for name in pairs(hash) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do
    flat[2 * i - 1], flat[2 * i] = name, tostring(hash[name])
  end
  redis.call('HSET', key, unpack(flat))
end

-- An execution's keys; its id begins with the hash tag of its partition.
local function keys_of(id)
  local tag = string.match(id, '^%b{}') or '{}'
  local exec, index = 'ff:exec:' .. tag .. ':' .. id, 'ff:idx:' .. tag
  return { core = exec .. ':core', payload = exec .. ':payload', grant = exec .. ':claim_grant',
    lease = exec .. ':lease:current', lease_expiry = index .. ':lease_expiry', lanes = index .. ':lane:' }
end

-- Where the library's queue has it: its score, its place in a list, 0 in a set; nil where it is not there.
local function place(call)
  local key, member = filled(spec.queue.key, call), filled(spec.queue.member or '<id>', call)
  local kind = redis.call('TYPE', key).ok
  if kind == 'zset' then return redis.call('ZSCORE', key, member) or nil end
  if kind == 'list' then return redis.call('LPOS', key, member) or nil end
  if kind == 'set' and redis.call('SISMEMBER', key, member) == 1 then return 0 end
  return nil
end

-- Whether it waits, runs or is done, as the library's word for it or the table's function says. A record that is gone
-- was done with.
local function state_of(record, lease, at)
  if not record then return 'done' end
  local said = spec.record.state
  local word = type(said) == 'function' and said(record, lease, at) or field(record, said)
  return spec.states and spec.states[word] or word
end

-- What the library's keys say now: the record, the state, the place in the queue, the lease and when that is over.
local function look(call)
  local record = read(filled(spec.record.key, call))
  local lease, last
  if spec.lease.key then lease, last = read(filled(spec.lease.key, call)) end
  local at = spec.queue and place(call)
  local state = state_of(record, lease, at)
  if not spec.lease.key and state == 'running' then lease = record end
  -- A key is there for its last millisecond; a lease is over at its first.
  local expires_at = lease and (field(lease, spec.lease.expires_at) or last and last + 1) or NEVER
  return { record = record, state = state, place = at, lease = lease, expires_at = expires_at }
end

-- The lease in the properties' words. A library need not know an id of it: the claim that made it had one.
local function mirror_lease(call, keys, seen, core, is_claimed)
  local old = read(keys.lease)
  -- A lease whose key went by itself is over by its time, and stays on record until somebody ends it.
  if not seen.lease and seen.state == 'running' and old then return old end
  redis.call('DEL', keys.lease)
  if not seen.lease then
    redis.call('ZREM', keys.lease_expiry, call.id)
    return nil
  end
  local id = is_claimed and call.lease_id or old and old.lease_id or call.lease_id or ''
  local counted = tonumber(core.current_lease_epoch or 0) + (is_claimed and 1 or 0)
  local worker = field(seen.lease, spec.lease.worker) or call.worker
  local lease = { execution_id = call.id, lease_id = id, attempt_id = id, expires_at = seen.expires_at,
    lease_epoch = field(seen.lease, spec.lease.epoch) or counted, worker_id = worker,
    worker_instance_id = field(seen.lease, spec.lease.instance) or worker }
  write(keys.lease, lease)
  redis.call('ZADD', keys.lease_expiry, seen.expires_at, call.id)
  return lease
end

local function mirror_core(call, keys, seen, core, lease, is_claimed)
  for name, word in pairs(STATES[seen.state]) do core[name] = word end
  local record, attempts = seen.record or {}, tonumber(core.total_attempt_count or 0) + (is_claimed and 1 or 0)
  core.lane_id = field(record, spec.record.lane) or call.lane
  core.current_lane = core.lane_id
  core.total_attempt_count = attempts
  core.current_attempt_index = attempts > 0 and attempts - 1 or ''
  core.current_lease_epoch = lease and lease.lease_epoch or core.current_lease_epoch or 0
  core.current_lease_id = lease and lease.lease_id or ''
  core.current_attempt_id = lease and lease.attempt_id or core.current_attempt_id or ''
  core.lease_expires_at = lease and lease.expires_at or ''
  core.current_worker_id = lease and lease.worker_id or ''
  core.current_worker_instance_id = lease and lease.worker_instance_id or ''
  write(keys.core, core)
end

local function mirror_grant(call, keys, core, is_granted)
  local old = read(keys.grant)
  local grant, last = read(filled(spec.grant.key, call))
  local expires_at = grant and (field(grant, spec.grant.expires_at) or last) or NEVER
  -- A grant that is past its time is none, even where its key stays.
  if not grant or not last and tonumber(expires_at) < now_ms() then
    redis.call('DEL', keys.grant)
    return
  end
  local worker = field(grant, spec.grant.worker) or call.worker
  write(keys.grant, { worker_id = worker, worker_instance_id = field(grant, spec.grant.instance) or worker,
    lane_id = field(grant, spec.grant.lane) or core.lane_id, grant_expires_at = expires_at,
    created_at = field(grant, spec.grant.created_at) or not is_granted and old and old.created_at or now_ms() })
  -- Set again at its last millisecond, a deadline would remove the key.
  local deadline = tonumber(last or expires_at)
  if redis.call('PEXPIRETIME', keys.grant) ~= deadline then redis.call('PEXPIREAT', keys.grant, deadline) end
end

local function mirror_queue(call, keys, core, seen)
  local eligible, at = keys.lanes .. core.lane_id .. ':eligible', seen.place
  if not spec.queue and seen.state == 'waiting' then
    at = redis.call('ZSCORE', eligible, call.id) or now_ms()
  end
  if at then redis.call('ZADD', eligible, at, call.id) else redis.call('ZREM', eligible, call.id) end
end

-- Mirrors the execution that a call names. Answers its lease, or a word for what is wrong with the table.
local function mirror(name, call, keys, core, is_accepted)
  local seen = look(call)
  if not seen.record and not core.lane_id then return nil end
  if not STATES[seen.state] then return nil, 'no_word_in_states_for_' .. tostring(seen.state) end
  local is_claimed = is_accepted and name == 'ff_claim_execution' and seen.lease ~= nil
  local lease = mirror_lease(call, keys, seen, core, is_claimed)
  mirror_core(call, keys, seen, core, lease, is_claimed)
  mirror_grant(call, keys, core, is_accepted and name == 'ff_issue_claim_grant')
  mirror_queue(call, keys, core, seen)
  if is_claimed then
    -- What later calls under this lease say of themselves, however late they come.
    local token = field(seen.lease, spec.lease.token) or call.lease_id
    redis.call('HSET', 'grantsim:lease:' .. call.lease_id, 'worker', call.worker, 'instance', call.instance, 'token', token)
  end
  return lease
end

-- What is answered to a call that the library accepted.
local ANSWERS = {
  ff_create_execution = function(call) return { 1, 'OK', call.id, 'waiting' } end,
  ff_issue_claim_grant = function(call) return { 1, 'OK', call.id } end,
  ff_claim_execution = function(_, core, lease)
    if not lease then return { 0, 'accepted_without_a_lease' } end
    return { 1, 'OK', lease.lease_id, tostring(lease.lease_epoch), tostring(lease.expires_at), lease.attempt_id,
      tostring(core.current_attempt_index), core.total_attempt_count == 1 and 'initial' or 'retry' }
  end,
  ff_renew_lease = function(_, _, lease)
    if not lease then return { 0, 'accepted_without_a_lease' } end
    return { 1, 'OK', tostring(lease.expires_at) }
  end,
  ff_complete_execution = function() return { 1, 'OK', 'completed' } end,
  ff_mark_lease_expired_if_due = function(_, _, lease)
    if lease then return { 1, 'ALREADY_SATISFIED', 'not_yet_expired' } end
    return { 1, 'OK', 'marked_expired' }
  end,
}

-- The word of a refusal; nil where the library accepted. What an error reply says first, if the table says nothing else.
local function refusal_of(reply, name)
  local word
  if spec.refused then
    word = spec.refused(reply, name)
  elseif type(reply) == 'table' and reply.err then
    word = string.match(reply.err, '^%-?(%S+)')
  end
  return word and (spec.refusals and spec.refusals[word] or string.lower(word))
end

-- What the harness passed, by name. Who speaks under a lease, and of which lane, is known from its claim and the core.
local function read_call(name, args, core)
  local call = {}
  for i, word in ipairs(PASSED[name]) do call[word] = args[i] or '' end
  call.lane = call.lane or core.lane_id or ''
  if call.lease_id and name ~= 'ff_claim_execution' then
    local claim = read('grantsim:lease:' .. call.lease_id) or {}
    call.worker, call.instance, call.token = claim.worker, claim.instance, claim.token
  end
  return call
end

local function answer(name, args)
  for api, value in pairs(grantsim_redis()) do redis[api] = value end
  -- Says that codes and writes of its own are the library's right, and what of a lease it is told.
  if redis.call('EXISTS', 'grantsim:table') == 0 then redis.call('SET', 'grantsim:table', told()) end
  local keys = keys_of(args[1])
  local core = read(keys.core) or {}
  local call, row = read_call(name, args, core), spec.calls[name]
  if call.delay_until and call.delay_until ~= '' then return { 0, 'no_delays_by_a_table' } end
  local callback = type(row[1]) == 'string' and grantsim_registered[row[1]] or row[1]
  if type(callback) ~= 'function' then return { 0, 'no_function_registered_as_' .. tostring(row[1]) } end

  local had_lease = redis.call('EXISTS', keys.lease) == 1
  local reply = callback(all_filled(row.keys, call), all_filled(row.args, call))
  local refusal = refusal_of(reply, name)
  local lease, wrong = mirror(name, call, keys, core, not refusal)
  if wrong then return { 0, wrong } end
  if name == 'ff_mark_lease_expired_if_due' and (refusal or not had_lease) then
    return { 1, 'ALREADY_SATISFIED', refusal or 'not_active' }
  end
  if refusal then return { 0, refusal } end
  -- The worker reads from it what it has to do.
  if name == 'ff_create_execution' and call.payload ~= '' then redis.call('SET', keys.payload, call.payload) end
  return ANSWERS[name](call, core, lease)
end

-- While a library loads, Lua has no loops over tables.
local function register(name)
  if spec.calls[name] then grantsim_redis().register_function(name, function(_, args) return answer(name, args) end) end
end

register('ff_create_execution')
register('ff_issue_claim_grant')
register('ff_claim_execution')
register('ff_renew_lease')
register('ff_complete_execution')
register('ff_mark_lease_expired_if_due')

end
