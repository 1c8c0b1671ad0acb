/** The sidecar's server under grpc-go: test/components/grpcGo's look at memory over more calls. */
import t from "tap";
import { goClient } from "../components/goClient.js";
import { checkMemory } from "../components/goMemory.js";

t.setTimeout(600_000);
const program = await goClient();

t.test("resident memory stays flat over 200,000 calls", { skip: program === null }, (t) =>
	checkMemory(t, program ?? "", { before: 30_000, between: 80_000, growthMiB: 2 }),
);
