/**
 * What all mutants are tried on: one generated declaration, its requests and what must become of them, made once by
 * the code as it is and read by every probe from a file, so that no probe searches edges or signs tokens again.
 */
import { readFile, writeFile } from "node:fs/promises";
import type { Socket } from "node:net";
import { join } from "node:path";
import { connect } from "node:tls";
import type { GatewayTls } from "../../src/declare/resources/resource.js";
import { type Expected, expected, unitOf, xxh64 } from "../envoy/oracle.js";
import { AWKWARD_UNITS, HOSTILE_UNITS, randomUnits } from "../envoy/units.js";
import { type Generated, generate } from "../parity/declaration.js";
import { edgeUnits } from "../parity/edges.js";
import { judge } from "../parity/judge.js";
import type { Outcome } from "../parity/outcome.js";
import { createIssuer, type GeneratedRequest, generatePaths, generateRequests } from "../parity/requests.js";

/** A small parity run; a mutant that it does not notice survives. */
export interface MutationExtent {
	readonly seed: number;
	readonly services: number;
	/** Random requests for each Service. */
	readonly each: number;
	/** Services whose edges are searched for, about a second each. */
	readonly edges: number;
	readonly paths: number;
}

/** Certificates and keys, as PEM. */
export interface ClientKeys {
	readonly ca: string;
	readonly own: Readonly<Record<string, { readonly certificate: string; readonly privateKey: string }>>;
}

/** One unit under one Experiment, by the oracle: for the assignment's own interface, which no request reaches. */
export interface AssignmentCase {
	readonly subject: number;
	readonly experiment: number;
	/** Header values as latin1. */
	readonly values: readonly string[];
	/** null = no unit. */
	readonly wanted: Expected | null;
	/** XXH64 of salted unit and of the bare unit, mod 10⁶. */
	readonly point: number;
	readonly slotPoint: number;
}

export interface Scene {
	readonly extent: MutationExtent;
	readonly tls: GatewayTls;
	readonly clients: ClientKeys;
	readonly jwksFile: string;
	readonly paths: readonly string[];
	readonly requests: readonly StoredRequest[];
	readonly assignments: readonly AssignmentCase[];
	/** Of the plain paths as sent, by request; Envoy is not asked. */
	readonly judged: readonly Outcome[];
}

type StoredRequest = Omit<GeneratedRequest, "subject" | "bytes"> & {
	readonly subject: number;
	readonly base64: string;
};

export const spiffe = (who: string): string => `spiffe://weir.test/${who}`;

/** The unit that is minted where Envoy is not asked. */
export const MINTED = "AAAAAAAAAAAAAAAAAAAAAA";

const sceneFile = (directory: string): string => join(directory, "scene.json");

export interface SceneInput {
	readonly directory: string;
	readonly extent: MutationExtent;
	readonly tls: GatewayTls;
	readonly clients: ClientKeys;
}

/** Makes the scene and writes it into the directory. */
export async function createScene({ directory, extent, tls, clients }: SceneInput): Promise<Scene> {
	const issuer = createIssuer(Date.now());
	const jwksFile = join(directory, "jwks.json");
	await writeFile(jwksFile, JSON.stringify(issuer.jwks));
	const generated = generatedFor({ extent, tls, jwksFile }, [1, 2, 3]);
	const edges = generated.subjects.slice(0, extent.edges).map((subject) => edgeUnits(subject));
	const paths = generatePaths(extent.seed, extent.paths);
	const requests = generateRequests(generated, { ...extent, paths, issuer, spiffe, edges });
	const scene: Scene = {
		extent,
		tls,
		clients,
		jwksFile,
		paths,
		requests: requests.map(({ subject, bytes, ...rest }) => ({
			...rest,
			subject: generated.subjects.indexOf(subject),
			base64: bytes.toString("base64"),
		})),
		assignments: assignmentCases(generated, edges),
		judged: requests.map((request) => judge(generated, request, request.path, MINTED, spiffe)),
	};
	await writeFile(sceneFile(directory), JSON.stringify(scene));
	return scene;
}

export const readScene = async (directory: string): Promise<Scene> =>
	JSON.parse(await readFile(sceneFile(directory), "utf8"));

/** @param ports of Variants v1, v2, v3 */
export const generatedFor = (
	{ extent, tls, jwksFile }: Pick<Scene, "extent" | "tls" | "jwksFile">,
	ports: readonly number[],
): Generated => generate({ ...extent, ports, tls, jwksFile, spiffe });

export const requestsOf = ({ requests }: Scene, { subjects }: Generated): readonly GeneratedRequest[] =>
	requests.map(({ subject: index, base64, ...rest }) => {
		const subject = subjects[index];
		if (subject === undefined) throw new Error("the scene is of another declaration");
		return { ...rest, subject, bytes: Buffer.from(base64, "base64") };
	});

/** A mutual-TLS client with one of the scene's certificates. */
export const clientOf =
	({ clients }: Scene) =>
	(port: number, who: string) =>
	(): Promise<Socket> =>
		new Promise((resolve, reject) => {
			const own = clients.own[who];
			const socket = connect({
				port,
				host: "127.0.0.1",
				servername: "gateway.test",
				ca: clients.ca,
				...(own === undefined ? {} : { cert: own.certificate, key: own.privateKey }),
			});
			socket.once("secureConnect", () => resolve(socket));
			socket.once("error", reject);
		});

function assignmentCases({ subjects }: Generated, edges: readonly (readonly string[])[]): readonly AssignmentCase[] {
	// 59 KB are hashed slowly by the oracle; two Services see them.
	const all = [...AWKWARD_UNITS, ...HOSTILE_UNITS, ...randomUnits(20, 9)].map(({ values }) => values);
	const short = all.filter((values) => values.every((value) => value.length < 1_000));
	return subjects.flatMap(({ experiments, layer }, subject) =>
		experiments
			.filter(({ status }) => ["Running", "Paused", "Promoting"].includes(status.phase))
			.flatMap((own, experiment) => {
				const { spec, metadata } = own.experiment;
				const qualified = (name: string): string =>
					metadata.namespace === "default" ? name : `${metadata.namespace}/${name}`;
				const salt = spec.salt ?? qualified(metadata.name);
				const named = Buffer.from(`layer:${qualified(spec.layer.name)}`);
				const seed = layer?.spec.seed == null ? xxh64(named, 0n) : BigInt(layer.spec.seed);
				const of = [...(subject < 2 ? all : short), ...(edges[subject] ?? []).map((unit) => [Buffer.from(unit)])];
				return of.map((values): AssignmentCase => {
					const unit = unitOf(values);
					return {
						subject,
						experiment,
						values: values.map((value) => value.toString("latin1")),
						wanted: unit === null ? null : expected(unit, own.experiment, layer, own.status),
						point: unit === null ? -1 : mod(xxh64(Buffer.concat([Buffer.from(`${salt}:`), unit]), 0n)),
						slotPoint: unit === null ? -1 : mod(xxh64(unit, seed)),
					};
				});
			}),
	);
}

const mod = (hash: bigint): number => Number(hash % 1_000_000n);
