/** A sidecar inside the test's process that verifies tokens as the real one does. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Plan } from "../../src/compile/table/plan.js";
import { type CompiledTable, compileTable } from "../../src/publish/sidecar/compiledTable.js";
import { mintUnit } from "../../src/publish/sidecar/cookie.js";
import { Health } from "../../src/publish/sidecar/grpc/health.js";
import { startGrpcServer } from "../../src/publish/sidecar/grpc/server.js";
import { sidecarMethods } from "../../src/publish/sidecar/methods.js";
import { Tables } from "../../src/publish/sidecar/tables.js";
import { TokenVerifier } from "../../src/trust/tokens/verifier.js";
import type { TestScope } from "../envoy/harness.js";

/** @returns its socket */
export async function startVerifyingSidecar(t: TestScope, plan: Plan): Promise<string> {
	const directory = await mkdtemp(join(tmpdir(), "weir-sidecar-"));
	const socketPath = join(directory, "sidecar.sock");
	const tables = new Tables<CompiledTable>({ compile: compileTable });
	tables.put(plan);
	tables.confirm();
	const verifier = new TokenVerifier();
	verifier.use(plan.table.gateways);
	const health = new Health();
	health.setServing(true);
	const server = await startGrpcServer({
		listen: { socketPath },
		methods: sidecarMethods({
			tables,
			freshness: tables,
			mint: mintUnit,
			nowMs: Date.now,
			verifyToken: verifier.verify,
			sign: null,
		}),
		health,
	});
	t.teardown(async () => {
		await server.close();
		await rm(directory, { recursive: true, force: true });
	});
	return socketPath;
}
