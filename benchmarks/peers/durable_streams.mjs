// The Durable Streams reference server, in memory: node durable_streams.mjs PORT

import { DurableStreamTestServer } from "@durable-streams/server";

const server = new DurableStreamTestServer({
  host: "127.0.0.1",
  port: Number(process.argv[2]),
  compression: false, // as all others
});
await server.start();
