// Session cookies, made and cut by the packages that make them on a site.
// Reads [{version, name, secret, token, maxAge, salt}, …] from stdin and prints their cookies:
// [{NAME: VALUE, …}, …]. Version 5 of next-auth is @auth/core.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

import * as five from "@auth/core/jwt";

const require = createRequire(import.meta.url);
const modules = new URL("../../node_modules/", import.meta.url);
const four = require("next-auth/jwt");
const stores = {
  4: require(new URL("next-auth/core/lib/cookie.js", modules).pathname).SessionStore,
  5: (await import(new URL("@auth/core/lib/utils/cookie.js", modules))).SessionStore,
};
const logger = { debug() {} };

const made = [];
for (const { version, name, ...wanted } of JSON.parse(readFileSync(0, "utf8"))) {
  const value = version === 4 ? await four.encode(wanted) : await five.encode({ salt: name, ...wanted });
  const store = new stores[version]({ name, options: {} }, version === 4 ? { cookies: {} } : {}, logger);
  made.push(Object.fromEntries(store.chunk(value, {}).map((cookie) => [cookie.name, cookie.value])));
}
console.log(JSON.stringify(made));
