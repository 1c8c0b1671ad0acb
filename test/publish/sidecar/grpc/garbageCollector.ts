import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** @returns a function that runs a full garbage collection */
export function garbageCollector(): () => void {
	setFlagsFromString("--expose-gc");
	return runInNewContext("gc");
}
