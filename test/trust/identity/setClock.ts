/**
 * Loaded before a part (`--import`): its wall clock is off by the milliseconds in the file WEIR_TEST_CLOCK, read at its
 * start and at each SIGUSR2. For Node's parts alone: Envoy and TLS have the machine's.
 */
import { readFileSync } from "node:fs";

const file = process.env.WEIR_TEST_CLOCK ?? "";
const machine = Date.now;
const read = (): number => Number(readFileSync(file, "utf8"));
let offMs = read();
Date.now = () => machine() + offMs;
process.on("SIGUSR2", () => {
	offMs = read();
});
