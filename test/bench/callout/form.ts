/**
 * One form of the callout benchmarks: an Envoy with one worker, and the callout server that it calls, if any. Each form is
 * verified before it is measured.
 */
import { request } from "node:https";
import { PROOF_FILTER } from "../../../src/compile/envoy/calloutProof.js";
import type { Collectors, CompiledPlan } from "../../../src/compile/plan/compiledPlan.js";
import { bootstrapOf, launchEnvoy, type RunningEnvoy } from "../../envoy/harness.js";
import type { IssuedCertificate } from "../../trust/identity/developmentCa.js";
import type { LoadOrder } from "../native/load.js";
import { type CalloutServer, startCalloutServer } from "./calloutServer.js";
import { ALLOWED_PATH, FORBIDDEN_PATH, HOST } from "./declaration.js";

export interface FormDeclaration {
	readonly name: string;
	readonly plan: CompiledPlan;
	/** Those that the plan was compiled with. */
	readonly collectors?: Collectors;
	/** Command line of the server, given its UNIX socket; null = Envoy makes no callout. */
	readonly server: ((socket: string) => readonly string[]) | null;
	/** The required work: judge access, and send units to their Variants. */
	readonly proves: { readonly access: boolean; readonly assignment: boolean };
	/** Headers that an allowed request of a user must have. */
	readonly headersOf?: (user: number) => Readonly<Record<string, string>>;
	/** Changes the bootstrap, for another connection to the server. */
	readonly reach?: (bootstrap: object) => object;
}

export interface Form {
	readonly name: string;
	readonly plan: CompiledPlan;
	readonly envoy: RunningEnvoy;
	readonly server: CalloutServer | null;
	stop(): Promise<void>;
}

/** Client certificates of the load, and of the verification. */
export type ClientTls = NonNullable<LoadOrder["tls"]>;

export const clientTls = (ca: string, { certificate, privateKey }: IssuedCertificate): ClientTls => ({
	ca,
	certificate,
	privateKey,
});

/**
 * @param socket where the server is to listen
 * @throws Error if the form does not do its work
 */
export async function startForm(declaration: FormDeclaration, socket: string, client: ClientTls): Promise<Form> {
	const { name, plan } = declaration;
	const server = declaration.server === null ? null : await startCalloutServer(declaration.server(socket), socket);
	try {
		const usual = bootstrapOf(plan, declaration.collectors, plan.asksSidecar ? socket : null);
		const { reach = (given: object) => given } = declaration;
		const bootstrap = (adminSocket: string): object => reach(usual(adminSocket));
		// A peer does not send Weir's proof, so Envoy must not require it.
		const peer = server !== null && !declaration.proves.assignment;
		const envoy = await launchEnvoy((adminSocket) =>
			peer ? withoutFilters(bootstrap(adminSocket), (one) => one === PROOF_FILTER) : bootstrap(adminSocket),
		);
		const stop = async (): Promise<void> => {
			await envoy.stop();
			await server?.stop();
		};
		try {
			await prove(declaration, envoy.port(), client);
		} catch (error) {
			await stop();
			throw error;
		}
		return { name, plan, envoy, server, stop };
	} catch (error) {
		await server?.stop();
		throw error;
	}
}

/** Removes filters from the bootstrap: in filter chains and in the routes' settings. */
export function withoutFilters(bootstrap: object, left: (name: string) => boolean): object {
	const cut = (value: unknown): unknown => {
		if (Array.isArray(value)) {
			return value.filter((item) => !left(String((item as { name?: unknown } | null)?.name))).map(cut);
		}
		if (typeof value !== "object" || value === null) return value;
		const kept = Object.entries(value).filter(([key]) => !left(key));
		return Object.fromEntries(kept.map(([key, inner]) => [key, cut(inner)]));
	};
	return cut(bootstrap) as object;
}

async function prove(
	{ name, proves, headersOf = () => ({}) }: FormDeclaration,
	port: number,
	client: ClientTls,
): Promise<void> {
	const forbidden = await ask(port, FORBIDDEN_PATH, client, { ...headersOf(0), "x-user-id": "user" });
	const expected = proves.access ? 403 : 200;
	if (forbidden.status !== expected) {
		throw new Error(`${name} answers a forbidden request with ${forbidden.status} instead of ${expected}`);
	}
	const served = new Set<string>();
	for (let user = 0; user < USERS; user++) {
		const { status, variant } = await ask(port, ALLOWED_PATH, client, {
			...headersOf(user),
			"x-user-id": `user-${user}`,
		});
		if (status !== 200) throw new Error(`${name} answers an allowed request with ${status}`);
		served.add(variant);
	}
	const variants = [...served].sort().join();
	if (variants !== (proves.assignment ? "v1,v2" : "v1")) throw new Error(`${name} sends users to ${variants}`);
}

/** A quarter of the units goes to v2: the chance of none is 1 in 10^7. */
const USERS = 60;

function ask(
	port: number,
	path: string,
	client: ClientTls,
	headers: Readonly<Record<string, string>>,
): Promise<{ status: number; variant: string }> {
	return new Promise((resolve, reject) => {
		request(
			{
				port,
				host: "127.0.0.1",
				servername: HOST,
				path,
				headers: { host: HOST, ...headers },
				ca: client.ca,
				cert: client.certificate,
				key: client.privateKey,
				agent: false,
			},
			(response) => {
				response.resume();
				response.on("end", () =>
					resolve({ status: response.statusCode ?? 0, variant: String(response.headers["x-variant"]) }),
				);
			},
		)
			.on("error", reject)
			.end();
	});
}
