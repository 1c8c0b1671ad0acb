/** `weir` as operators run it: by their certificate over HTTPS, or as the owner of the machine by the socket. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { type MutualApi, operator } from "../operate/mutualApi.js";
import { fileOf, MAIN, temporaryDirectory } from "./command.js";

export interface Ran {
	readonly code: number | null;
	readonly out: string;
	readonly stderr: string;
}

export type Command = (...args: readonly string[]) => Promise<Ran>;

/** The operator whose identity the environment has. */
export async function run(args: readonly string[], environment: NodeJS.ProcessEnv): Promise<Ran> {
	const child = spawn(process.execPath, [MAIN, ...args], {
		stdio: ["ignore", "pipe", "pipe"],
		env: { ...process.env, ...environment },
	});
	let [out, stderr] = ["", ""];
	child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
		out += chunk;
	});
	child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
		stderr += chunk;
	});
	const [code] = (await once(child, "close")) as [number | null];
	return { code, out, stderr };
}

export async function operatorCommand(
	t: { teardown(run: () => Promise<void>): unknown },
	{ api, ca }: Pick<MutualApi, "api" | "ca">,
): Promise<{ readonly local: Command; as(name: string): Promise<Command> }> {
	const directory = await temporaryDirectory(t);
	return {
		local: (...args) => run(args, { WEIR_API: `unix:${api.socket}` }),
		as: async (name) => {
			const own = await ca.issue({ spiffeId: operator(name) });
			const environment = {
				WEIR_API: api.url,
				WEIR_API_SERVER: "spiffe://weir.test/weir/control",
				WEIR_API_CA: await fileOf(directory, "ca.pem", ca.certificate),
				WEIR_API_CERT: await fileOf(directory, `${name}.pem`, own.certificate),
				WEIR_API_KEY: await fileOf(directory, `${name}.key`, own.privateKey),
			};
			return (...args) => run(args, environment);
		},
	};
}
