/** Control as a process of its own, whose disk can be filled: `node apiProcess.js DIRECTORY`; prints READY. */
import { startControlRole } from "../../../src/cli/roles/control.js";
import { places } from "../../../src/cli/stack/places.js";
import { roleContext } from "./roleContext.js";

await startControlRole(roleContext(places(process.argv[2] ?? ""), "control"));
process.stdout.write("READY\n");
