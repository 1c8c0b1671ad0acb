import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** @returns a full garbage collection, whenever it is called: what is left then lives */
export function garbageCollector(): () => void {
	setFlagsFromString("--expose-gc");
	return runInNewContext("gc");
}
