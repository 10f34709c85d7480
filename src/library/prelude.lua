-- Stands between a library and the server: every redis.call goes through the mutant. On the right of `local redis`
-- the name still means the server's own table, which is looked up anew for every call, because a server shows one
-- table while a library loads and another while its functions run.
local redis = (function()
  local claims = {
    ff_claim_execution = true,
    ff_acquire_lease = true,
    ff_claim_resumed_execution = true,
    ff_reclaim_execution = true,
  }
  -- Whether a key ends in a suffix: claim_grant, :core, :lease:current.
  local function ends(key, suffix)
    return type(key) == 'string' and string.sub(key, -#suffix) == suffix
  end
  -- The arguments of an HSET with its fields changed: f(field, value) is the new value, nil leaves the field out.
  local function fields(f, ...)
    local changed, given = {}, { ... }
    for i = 1, #given - 1, 2 do
      local value = f(given[i], given[i + 1])
      if value ~= nil then
        changed[#changed + 1] = given[i]
        changed[#changed + 1] = value
      end
    end
    return unpack(changed)
  end
  -- The reply to an HGETALL, HGET or HMGET with its values changed: f(field, value) is the new value. The reply to
  -- any other command stays.
  local function values(f, reply, cmd, key, ...)
    local asked = { ... }
    if cmd == 'HGET' then return f(asked[1], reply) end
    if cmd == 'HMGET' then
      for i = 1, #reply do reply[i] = f(asked[i], reply[i]) end
    elseif cmd == 'HGETALL' then
      for i = 2, #reply, 2 do reply[i] = f(reply[i - 1], reply[i]) end
    end
    return reply
  end
  -- The reply to an HGETALL, HGET or HMGET with other values for the fields of a table.
  local function instead(with, reply, cmd, key, ...)
    return values(function(field, value) return with[field] or value end, reply, cmd, key, ...)
  end
  -- What a caller says of its lease when it renews or ends it, by the fields of the core that must say the same; nil
  -- for every other function.
  local function presented(fn, args)
    if fn == 'ff_renew_lease' then
      return {
        current_attempt_index = args[2], current_attempt_id = args[3],
        current_lease_id = args[4], current_lease_epoch = args[5],
      }
    elseif fn == 'ff_complete_execution' or fn == 'ff_fail_execution' or fn == 'ff_delay_execution' then
      return { current_lease_id = args[2], current_lease_epoch = args[3], current_attempt_id = args[4] }
    end
  end
  -- The reply to a TIME that says another millisecond.
  local function time(ms)
    return { string.format('%d', math.floor(ms / 1000)), string.format('%d', ms % 1000 * 1000) }
  end
  local function millis(reply)
    return tonumber(reply[1]) * 1000 + math.floor(tonumber(reply[2]) / 1000)
  end
  -- What a mutant may return besides: answered(reply, name, keys, args) is what a function answers instead, and
  -- asked(name, keys, args) may change what it is asked.
  local mutant, answered, asked = (function() MUTANT end)()
  local fn, keys, args
  local function wrap(name, callback)
    return function(k, a)
      fn, keys, args = name, k, a
      if asked then asked(name, k, a) end
      local reply = callback(k, a)
      if answered then return answered(reply, name, k, a) end
      return reply
    end
  end
  -- What a mutant calls: it names the first argument `key`, which TIME does not have.
  local function forward(call)
    return function(cmd, key, ...)
      if key == nil then return call(cmd) end
      return call(cmd, key, ...)
    end
  end
  return {
    register_function = function(name, callback)
      if callback then return redis.register_function(name, wrap(name, callback)) end
      name.callback = wrap(name.function_name, name.callback)
      return redis.register_function(name)
    end,
    call = function(...) return mutant(forward(redis.call), fn, keys, args, ...) end,
    pcall = function(...) return mutant(forward(redis.pcall), fn, keys, args, ...) end,
    sha1hex = function(...) return redis.sha1hex(...) end,
    error_reply = function(...) return redis.error_reply(...) end,
    status_reply = function(...) return redis.status_reply(...) end,
    log = function(...) return redis.log(...) end,
    setresp = function(...) return redis.setresp(...) end,
    LOG_DEBUG = redis.LOG_DEBUG,
    LOG_VERBOSE = redis.LOG_VERBOSE,
    LOG_NOTICE = redis.LOG_NOTICE,
    LOG_WARNING = redis.LOG_WARNING,
  }
end)()
local server = redis
