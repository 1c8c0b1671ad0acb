/**
 * The API as a process that tests kill: `node apiProcess.js DIRECTORY [TCP.json]` prints READY and its
 * URL. TCP.json: PEM of an mTLS listener, {key, cert, ca}; without it the UNIX socket alone. A message names a method
 * of the Store and is answered with its result; any other one with the bytes of memory that it has.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { startApi } from "../../../src/operate/api/api.js";
import { Store } from "../../../src/operate/state/store/store.js";
import { uriOf } from "../mutualApi.js";

interface StoreCall {
	readonly id: number;
	readonly method: "state" | "decide" | "keepPlan" | "plan";
	readonly parameters: readonly unknown[];
}

const directory = process.argv[2] ?? "";
const store = new Store(directory);
const [, , , tls] = process.argv;
const tcp =
	tls === undefined ? null : { address: "127.0.0.1", port: 0, tls: JSON.parse(readFileSync(tls, "utf8")), peer: uriOf };
const api = await startApi({ store, socket: join(directory, "api.sock"), tcp });
process.stdout.write(`READY ${api.url}\n`);
process.on("message", async (message: Partial<StoreCall>) => {
	const { id, method, parameters = [] } = message;
	if (method === undefined) return void process.send?.(process.memoryUsage.rss());
	try {
		const call = store[method] as (...all: unknown[]) => Promise<unknown>;
		process.send?.({ id, value: await call.apply(store, [...parameters]) });
	} catch (error) {
		process.send?.({ id, error: String(error) });
	}
});
