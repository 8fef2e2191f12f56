local redis = (function(real)
  local declared = {}
  for _, key in ipairs(KEYS) do declared[key] = true end

  local function among(names, name)
    return string.find(names, ' ' .. name .. ' ', 1, true)
  end

  local function keys_of(name, ...)
    if among('WITHOUT_KEYS', name) then return {} end
    if among('WITH_ONE_KEY', name) then return {(...)} end
    if among('WITH_ONLY_KEYS', name) then return {...} end
    local keys = real.pcall('COMMAND', 'GETKEYS', name, ...)
    if keys.err then return {} end
    return keys
  end

  local function refusal(name, ...)
    name = string.upper(name)
    local where = " in Lua scripts when 'allow-key-locking' flag is set"
    if name == 'FLUSHALL' or name == 'FLUSHDB' then
      return 'ERR ' .. name .. ' is not allowed' .. where
    end
    for _, key in ipairs(keys_of(name, ...)) do
      if not declared[tostring(key)] then
        return 'ERR Dynamic keys are not allowed' .. where .. '. Key was: ' .. key
      end
    end
  end

  local checked = {}
  function checked.call(...)
    local why = refusal(...)
    if why then error({err = why}) end
    return real.call(...)
  end
  function checked.pcall(...)
    local why = refusal(...)
    if why then return {err = why} end
    return real.pcall(...)
  end
  return setmetatable(checked, {__index = real})
end)(redis)
