-- One new card transaction a POST, time going on by a second every twenty: for wrk.
--   REDFLAG_DETECTOR=card-handbook REDFLAG_DATA_DIR=$(mktemp -d) target/release/redflag serve &
--   wrk -t1 -c16 -d10s --latency -s scripts/wrk-transactions.lua http://127.0.0.1:8080
local threads = 0
function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

local sent = 0
function init()
  started = os.time()
end

function request()
  sent = sent + 1
  local body = string.format(
    '{"transaction_id":"w%d-%d-%d","tx_datetime":%d,"customer_id":"%d","terminal_id":"%d","tx_amount":%.2f}',
    number, started, sent, started + math.floor(sent / 20), sent % 5000, (sent * 7) % 10000, (sent % 20000) / 100)
  return wrk.format("POST", "/v1/transactions", { ["content-type"] = "application/json" }, body)
end
