/** The part of a trial that needs an Envoy: the parity suite's forms over the scene, up to the first mismatch. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Form, runForm, startUpstreams } from "../parity/form.js";
import type { GeneratedRequest } from "../parity/requests.js";
import { clientOf, generatedFor, requestsOf, type Scene, spiffe } from "./scene.js";

export interface EnvoyFinding {
	readonly mismatch: string | null;
	/** Envoy did not start. */
	readonly refused: boolean;
	readonly canonical: ReadonlyMap<string, string | null>;
}

/**
 * @param canonical what each path must become; null = not yet known
 * @param all all forms, also after a mismatch
 */
export async function tryOnEnvoy(
	scene: Scene,
	forms: Readonly<Record<string, Form>>,
	names: readonly string[],
	canonical: ReadonlyMap<string, string | null> | null,
	all: boolean,
): Promise<EnvoyFinding> {
	const directory = await mkdtemp(join(tmpdir(), "weir-mutant-"));
	const teardowns: (() => Promise<void> | void)[] = [];
	const scope = {
		teardown: (run: () => Promise<void> | void) => teardowns.push(run),
		passing: () => true,
		comment: () => {},
	};
	const upstreams = await startUpstreams();
	const generated = generatedFor(
		scene,
		upstreams.map(({ port }) => port),
	);
	const stage = {
		scope,
		generated,
		requests: requestsOf(scene, generated),
		paths: scene.paths,
		upstreams,
		directory,
		spiffe,
		client: clientOf(scene),
		...(canonical === null ? {} : { canonical }),
	};
	let found: ReadonlyMap<string, string | null> = canonical ?? new Map();
	let mismatch: string | null = null;
	let refused = false;
	const run = async (name: string, form: Form, requests: readonly GeneratedRequest[]): Promise<void> => {
		const result = await runForm(name, form, { ...stage, requests });
		mismatch ??= result.mismatches[0] ?? null;
		found = result.canonical;
	};
	try {
		for (const name of names) {
			const form = forms[name];
			if (form === undefined || (mismatch !== null && !all)) continue;
			await run(name, form, all ? stage.requests : few(stage.requests));
		}
		// Most mutants are noticed by a few requests; for the others, one form gets all of them.
		const [name = ""] = names;
		const form = forms[name];
		if (form !== undefined && mismatch === null && !all) await run(name, form, stage.requests);
	} catch (error) {
		const text = error instanceof Error ? error.message : String(error);
		refused = text.includes("did not start");
		// A busy machine is no finding.
		if (text.includes("was not ready within")) throw error;
		mismatch = text.slice(0, 400);
	} finally {
		for (const run of teardowns.reverse()) await run();
		await rm(directory, { recursive: true, force: true });
	}
	return { mismatch, refused, canonical: found };
}

const few = <T>(requests: readonly T[]): readonly T[] => requests.filter((_, index) => index % 12 === 0);
