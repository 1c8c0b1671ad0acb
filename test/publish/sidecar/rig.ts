/** A sidecar inside the test's process, on a UNIX socket, with the table of a Plan. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { CompiledPlan } from "../../../src/compile/plan/compiledPlan.js";
import type { Knowledge } from "../../../src/publish/sidecar/answer.js";
import { type CompiledTable, compileTable } from "../../../src/publish/sidecar/compiledTable.js";
import { mintUnit } from "../../../src/publish/sidecar/cookie.js";
import { Health } from "../../../src/publish/sidecar/grpc/health.js";
import { type GrpcServer, startGrpcServer } from "../../../src/publish/sidecar/grpc/server.js";
import { sidecarMethods } from "../../../src/publish/sidecar/methods.js";
import { Tables } from "../../../src/publish/sidecar/tables.js";
import { NOBODY_ASKED } from "./question.js";

export interface TestSidecar {
	readonly socketPath: string;
	readonly tables: Tables<CompiledTable>;
	readonly server: GrpcServer;
}

/** @param plan null = no table yet */
export async function startSidecar(
	t: { teardown(run: () => Promise<void>): unknown },
	plan: Pick<CompiledPlan, "version" | "table"> | null,
	asked: Pick<Partial<Knowledge>, "nowMs" | "verifyToken" | "sign"> = {},
): Promise<TestSidecar> {
	const directory = await mkdtemp(join(tmpdir(), "weir-sidecar-"));
	const socketPath = join(directory, "sidecar.sock");
	const tables = new Tables<CompiledTable>({ compile: compileTable });
	if (plan !== null) {
		tables.put(plan);
		tables.confirm();
	}
	const health = new Health();
	health.setServing(true);
	const server = await startGrpcServer({
		listen: { socketPath },
		methods: sidecarMethods({ tables, freshness: tables, mint: mintUnit, ...NOBODY_ASKED, ...asked }),
		health,
		// Clients and upstreams share the event loop: their work must not look like an overload of the sidecar.
		limits: { queueMs: Number.POSITIVE_INFINITY },
	});
	t.teardown(async () => {
		await server.close();
		await rm(directory, { recursive: true, force: true });
	});
	return { socketPath, tables, server };
}
