/** The api role as a process of its own, to be killed: `node apiProcess.js DIRECTORY`; prints READY and its URL. */
import { join } from "node:path";
import { startApi } from "../../src/state/api.js";
import { Store } from "../../src/state/store.js";

const directory = process.argv[2] ?? "";
const store = new Store(directory);
const api = await startApi({ store, address: "127.0.0.1", port: 0, socket: join(directory, "api.sock") });
process.stdout.write(`READY ${api.url}\n`);
