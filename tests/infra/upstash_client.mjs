// Upstash's own client against the server of UPSTASH_REDIS_REST_URL. It prints what came back as
// one JSON object, a member for each of the parts below; test_upstash_clients.py compares.
import {Redis} from "@upstash/redis";

const redis = Redis.fromEnv({retry: false, enableAutoPipelining: false});
const plain = Redis.fromEnv({retry: false, automaticDeserialization: false});
const TEXTS = ["", "plain", "bär 🐈 \u0000 \r\n", "OK", '{"a":[1,null]}', "x".repeat(200000)];

/** What a promise is rejected with; it has 20 seconds. */
async function failure(promise) {
  const late = new Promise((_, reject) => setTimeout(reject, 20000, new Error("too late")));
  try {
    return {result: await Promise.race([promise, late])};
  } catch (error) {
    return {name: error.name, message: error.message};
  }
}

/** The next `count` events of a subscription, as they are received. */
function received(subscriber, names, count) {
  return new Promise((resolve, reject) => {
    const events = [];
    subscriber.on("error", reject);
    for (const name of names) {
      subscriber.on(name, (event) => {
        events.push([name, event]);
        if (events.length === count) resolve(events);
      });
    }
  });
}

const PARTS = {
  async texts() {
    const back = [];
    for (const [n, text] of TEXTS.entries()) {
      back.push(await plain.set(`text:${n}`, text), await plain.get(`text:${n}`));
    }
    return back.map((value, n) => (n % 2 ? value === TEXTS[(n - 1) / 2] : value));
  },
  async values() {
    await redis.set("value", {a: [1, null, "ü"]}, {ex: 100});
    await redis.hset("hash", {a: 1, b: "zwei"});
    await redis.zadd("sorted", {score: 1.5, member: "m"});
    await redis.xadd("stream", "1-1", {text: "hello"});
    return [
      await redis.get("value"),
      await redis.get("absent"),
      (await redis.ttl("value")) > 0,
      await redis.hgetall("hash"),
      await redis.zrange("sorted", 0, -1, {withScores: true}),
      await redis.xrange("stream", "-", "+"),
      await redis.mget("value", "absent"),
      await redis.ping(),
    ];
  },
  async encodings() {
    const raw = Redis.fromEnv({retry: false, responseEncoding: false});
    await raw.set("raw", "bär");
    return [await raw.get("raw"), await redis.get("raw")];
  },
  async automaticPipeline() {
    const automatic = Redis.fromEnv({retry: false, enableAutoPipelining: true});
    return await Promise.all([automatic.incr("n"), automatic.incr("n"), automatic.get("n")]);
  },
  async pipeline() {
    const pipeline = redis.pipeline();
    pipeline.set("p", "x");
    pipeline.incr("p");
    pipeline.get("p");
    return await pipeline.exec({keepErrors: true});
  },
  async transaction() {
    const good = redis.multi();
    good.set("m", 1);
    good.incr("m");
    const bad = redis.multi();
    bad.set("m", 100);
    bad.eval("nonsense", [], []);
    return [await good.exec(), (await failure(bad.exec())).name, await redis.get("m")];
  },
  async scripts() {
    const text = "#!lua flags=allow-key-locking\nreturn {KEYS[1], ARGV[1], redis.call('INCR', KEYS[1])}";
    const script = redis.createScript(text);
    return [
      (await failure(redis.evalsha("0".repeat(40), [], []))).message.split(",")[0],
      await redis.eval(text, ["script"], ["a"]),
      await script.exec(["script"], ["b"]),
      await script.exec(["script"], ["c"]),
      await redis.evalRo("return redis.call('GET', KEYS[1])", ["script"], []),
      (await redis.scriptLoad("return 1")).length,
    ];
  },
  async subscribe() {
    const subscriber = redis.subscribe(["chat", "other"]);
    await received(subscriber, ["subscribe"], 2);
    const events = received(subscriber, ["message:chat"], 3);
    await redis.publish("other", "not for chat");
    await redis.publish("chat", {a: "ü"});
    await redis.publish("chat", "a,b");
    await redis.publish("chat", "");
    const heard = await events;
    await subscriber.unsubscribe();
    return heard;
  },
  async psubscribe() {
    const subscriber = redis.psubscribe("news.*");
    await received(subscriber, ["psubscribe"], 1);
    const events = received(subscriber, ["pmessage"], 1);
    await redis.publish("news.uk", {rain: true});
    const heard = await events;
    await subscriber.unsubscribe();
    return heard;
  },
  async readYourWrites() {
    const tokens = [];
    for (const n of [1, 2, 3]) {
      await redis.set("ryw", n);
      tokens.push(redis.readYourWritesSyncToken);
    }
    return [new Set(tokens).size, tokens.every((token) => token.length > 0)];
  },
  async errors() {
    const url = process.env.UPSTASH_REDIS_REST_URL;
    const stranger = new Redis({url, token: "x", retry: false, enableAutoPipelining: false});
    await redis.set("text", "x");
    return [
      await failure(stranger.get("a")),
      await failure(redis.lpush("text", 1)),
      await failure(redis.set("long", "x".repeat(11_000_000))).then(({name, message}) => ({
        name,
        message: message.split(".")[0],
      })),
    ];
  },
};

const results = {};
for (const [name, part] of Object.entries(PARTS)) {
  results[name] = await failure(part());
}
console.log(JSON.stringify(results));
process.exit(0);
