/** The Go load client: asks a callout server directly, without Envoy, in a closed loop on one connection. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { CONTEXT } from "../../../src/compile/envoy/calloutContext.js";
import { cpuUs } from "../native/processCpu.js";
import { HOST } from "./declaration.js";
import type { Form } from "./form.js";

/** As many calls in flight as the machine is sure to have work for. */
export const STREAMS = 8;

/**
 * CPU microseconds per call of the form's server.
 * @throws Error unless every call is answered with "go on"
 */
export async function directUs(program: string, form: Form, method: "check" | "proc", calls: number): Promise<number> {
	const { name, plan, server } = form;
	if (server === null) throw new Error(`${name} has no server to ask`);
	const context = `${CONTEXT.plan}=${plan.version},${CONTEXT.service}=bench`;
	const args = ["-socket", server.socket, "-method", method, "-host", HOST, "-context", context];
	const before = await cpuUs(server.pid);
	const { stdout } = await promisify(execFile)(program, [...args, "-streams", `${STREAMS}`, "-calls", `${calls}`]);
	const used = (await cpuUs(server.pid)) - before;
	const report = JSON.parse(stdout) as { failed: number; failure?: string };
	if (report.failed > 0) throw new Error(`${name}: ${report.failed} direct calls failed: ${report.failure}`);
	return used / calls;
}
