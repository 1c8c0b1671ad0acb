/** A sidecar inside the test's process that verifies tokens as the real one does. */
import type { CompiledPlan } from "../../src/compile/plan/compiledPlan.js";
import { TokenVerifier } from "../../src/trust/tokens/verifier.js";
import type { TestScope } from "../envoy/harness.js";
import { startSidecar } from "../publish/sidecar/rig.js";

/** @returns its socket */
export async function startVerifyingSidecar(t: TestScope, plan: CompiledPlan): Promise<string> {
	const verifier = new TokenVerifier();
	verifier.use(plan.table.gateways);
	return (await startSidecar(t, plan, { nowMs: Date.now, verifyToken: verifier.verify })).socketPath;
}
