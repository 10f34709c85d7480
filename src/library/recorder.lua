-- The recorder stands before a library that is tested by a table, as one line without comments so that the library's own
-- lines keep their numbers. It remembers under which name the library registers each of its functions. While a library
-- loads, Lua has nothing but `redis.register_function` and `redis.log`; the mirror adds the rest when a call begins.
local grantsim_registered, grantsim_redis = {}, function() return redis end
local redis = { log = redis.log, LOG_DEBUG = 0, LOG_VERBOSE = 1, LOG_NOTICE = 2, LOG_WARNING = 3,
  register_function = function(name, callback)
    if callback then
      grantsim_registered[name] = callback
      return grantsim_redis().register_function(name, callback)
    end
    grantsim_registered[name.function_name] = name.callback
    return grantsim_redis().register_function(name)
  end }
local server = redis
