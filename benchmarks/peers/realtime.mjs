// A cold start of @upstash/realtime: its handler answers a request for a channel, without a server.
//
// Like first_byte.py it writes when the first byte came (ns, monotonic), the CPU time (ns) and the
// resident memory (KiB).

import { handle, Realtime } from "@upstash/realtime";
import { Redis } from "@upstash/redis";

const redis = new Redis({
  url: process.env.UPSTASH_REDIS_REST_URL,
  token: process.env.UPSTASH_REDIS_REST_TOKEN,
  enableTelemetry: false,
});
const answer = await handle({ realtime: new Realtime({ redis }) })(
  new Request("http://localhost/api/realtime?channel=bench&last_ack_bench=0"),
);
const { value } = await answer.body.getReader().read();
const instant = process.hrtime.bigint();
const text = new TextDecoder().decode(value);
if (answer.status !== 200 || !text.includes('"connected"')) {
  console.error(`the answer is ${answer.status}: ${text.slice(0, 200)}`);
  process.exit(1);
}
const { user, system } = process.cpuUsage();
console.log(instant.toString(), (user + system) * 1000, Math.round(process.memoryUsage.rss() / 1024));
process.exit(0);
