/** The api role as a process of its own, whose disk can be filled: `node apiProcess.js DIRECTORY`; prints READY. */
import { startApiRole } from "../../src/cli/roles/api.js";
import { places } from "../../src/cli/stack/places.js";
import { roleContext } from "./roleContext.js";

await startApiRole(roleContext(places(process.argv[2] ?? ""), "api"));
process.stdout.write("READY\n");
