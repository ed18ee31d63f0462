"""The Lua scripts of the live record: one write, one read. `record.py` says what its two keys hold."""

from __future__ import annotations

from .size import MAX_LINES

# KEYS: hash, log list. ARGV: channel, task id, attempt, ttl, lines to hold, a fresh epoch, final ("1" or ""), body
# (JSON object or ""), what the writer was told: lines and seq, then log lines (JSON objects).
# Returns {refused, cancel, seq, where}.
PUBLISH = """
local held = redis.call('HMGET', KEYS[1], 'attempt', 'final', 'epoch', 'cancel', 'seq', 'said', 'where')
local where = held[7] or ''
local attempt, mine = tonumber(held[1] or '-1'), tonumber(ARGV[3])
local cancel, seq, said = held[4] or '0', tonumber(held[5] or '0'), tonumber(held[6] or '0')
if mine < attempt then return {1, cancel, seq, where} end
if mine == attempt and held[2] == '1' then return {0, cancel, seq, where} end
local epoch = held[3]
if not epoch or not string.match(epoch, '^%w+$') or seq < tonumber(ARGV[10]) then
  -- A new record, a broken one, or Redis came back with one of before.
  epoch = ARGV[6]
  redis.call('HSET', KEYS[1], 'epoch', epoch)
end
if mine > attempt then
  said = 0
  redis.call('HSET', KEYS[1], 'attempt', mine, 'final', '0', 'said', '0')
end
local function tell(kind, rest, final)
  seq = redis.call('HINCRBY', KEYS[1], 'seq', 1)
  local text = '{"v":1,"type":"' .. kind .. '","task_id":"' .. ARGV[2] .. '","epoch":"' .. epoch ..
    '","seq":' .. seq .. ',' .. rest
  redis.call('PUBLISH', ARGV[1], cmsgpack.pack({
    type = 'progress.frame', task_id = ARGV[2], epoch = epoch, seq = seq, kind = kind, final = final, text = text}))
end
-- A publish whose answer was lost comes again: its lines are held already.
local first = 11 + math.max(said - tonumber(ARGV[9]), 0)
if #ARGV >= first then
  local count = #ARGV - first + 1
  local n = redis.call('HINCRBY', KEYS[1], 'lines', count) - count
  local lines, size = {}, 0
  local function tell_lines()
    tell('log', '"lines":[' .. table.concat(lines, ',') .. ']}', false)
    for i = 1, #lines do redis.call('RPUSH', KEYS[2], seq .. '|' .. lines[i]) end
    lines, size = {}, 0
  end
  for i = 1, count do
    local line = '{"n":' .. (n + i) .. ',' .. string.sub(ARGV[first + i - 1], 2)
    if #lines > 0 and size + #line > MAX_LINES then tell_lines() end
    lines[#lines + 1], size = line, size + #line + 1
  end
  tell_lines()
  redis.call('HSET', KEYS[1], 'said', tonumber(ARGV[9]) + #ARGV - 10)
  local over = redis.call('LLEN', KEYS[2]) - tonumber(ARGV[5])
  if over > 0 then
    local last = redis.call('LINDEX', KEYS[2], over - 1)
    redis.call('HSET', KEYS[1], 'trimmed', string.match(last, '^%d+'))
    redis.call('LTRIM', KEYS[2], over, -1)
  end
  redis.call('EXPIRE', KEYS[2], ARGV[4])
end
if ARGV[8] ~= '' then
  redis.call('HSET', KEYS[1], 'final', ARGV[7] == '1' and '1' or '0', 'data', ARGV[8])
  tell('update', string.sub(ARGV[8], 2), ARGV[7] == '1')
end
redis.call('EXPIRE', KEYS[1], ARGV[4])
return {0, cancel, seq, where}
""".replace("MAX_LINES", str(MAX_LINES))

# KEYS: hash, log list. ARGV: epoch and seq that the reader holds (or "", 0), "1" to read the log, a fresh epoch, "1"
# where a client claims to hold that.
# Returns {epoch, seq, data, cancel, recovered, {line, …}}.
READ = """
local held = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'data', 'cancel', 'trimmed')
if not held[1] then return {'', 0, '', held[4] or '0', 0, {}} end
local since, recovered = tonumber(ARGV[2]), 1
local beyond = ARGV[1] == held[1] and since > tonumber(held[2] or '0')
if beyond and ARGV[5] == '1' then
  since, recovered = -1, 0
elseif beyond then
  -- We told more than there is: Redis came back with a record of before. What follows must not pass for it.
  held[1] = ARGV[4]
  redis.call('HSET', KEYS[1], 'epoch', held[1])
end
if ARGV[1] ~= held[1] or since < tonumber(held[5] or '0') then since, recovered = -1, 0 end
local lines = {}
if ARGV[3] == '1' and since < tonumber(held[2] or '0') then
  local newest = redis.call('LRANGE', KEYS[2], 0, -1)
  if since >= 0 then
    local first = #newest + 1
    while first > 1 and tonumber(string.match(newest[first - 1], '^%d+')) > since do first = first - 1 end
    for i = first, #newest do lines[#lines + 1] = newest[i] end
  else
    lines = newest
  end
end
return {held[1], tonumber(held[2] or '0'), held[3] or '', held[4] or '0', recovered, lines}
"""
