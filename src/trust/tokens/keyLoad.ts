/** Loads a JWKS from a file or an https URL. */
import { request } from "node:https";
import type { KeySource } from "../../declare/resources/resource.js";
import { WeirError } from "../../error.js";
import { KEYS_BYTES_MAX, KEYS_FETCH_MS } from "../../limits/index.js";
import { readDeclaredFile } from "./declaredFile.js";

/**
 * @returns the loader; it rejects if the set is unavailable, with a message without content
 * @throws WeirError `invalid-argument` for a URL that is not https
 */
export function keyLoad(source: KeySource): () => Promise<Uint8Array> {
	if (source.from === "file") return () => readDeclaredFile(source.file);
	const url = URL.canParse(source.url) ? new URL(source.url) : null;
	if (url === null || url.protocol !== "https:" || url.username !== "" || url.password !== "") {
		throw new WeirError(
			"invalid-argument",
			"a JWKS comes from an https address without credentials",
			"write https://HOST/…",
		);
	}
	const { caFile } = source;
	return async () => fromUrl(url, caFile === null ? null : Buffer.from(await readCa(caFile)).toString("utf8"));
}

async function readCa(path: string): Promise<Uint8Array> {
	try {
		return await readDeclaredFile(path);
	} catch (error) {
		throw new Error(`jwksCaFile: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
	}
}

/** Follows no redirects: only the declared host may answer. */
function fromUrl(url: URL, ca: string | null): Promise<Uint8Array> {
	return new Promise((resolve, reject) => {
		const call = request(
			url,
			{
				method: "GET",
				headers: { accept: "application/jwk-set+json, application/json" },
				agent: false,
				minVersion: "TLSv1.2",
				...(ca === null ? {} : { ca }),
				signal: AbortSignal.timeout(KEYS_FETCH_MS),
			},
			(response) => {
				const chunks: Buffer[] = [];
				let length = 0;
				if (response.statusCode !== 200) {
					call.destroy(new Error(`the answer was ${response.statusCode}`));
					return;
				}
				response.on("data", (chunk: Buffer) => {
					length += chunk.length;
					if (length > KEYS_BYTES_MAX) call.destroy(new Error(`the answer is larger than ${KEYS_BYTES_MAX} bytes`));
					else chunks.push(chunk);
				});
				response.on("end", () => resolve(Buffer.concat(chunks)));
				response.on("error", reject);
				response.on("close", () => reject(new Error("the answer was cut off")));
			},
		);
		call.on("error", (error) =>
			reject(error.name === "AbortError" ? new Error(`no answer within ${KEYS_FETCH_MS} ms`) : error),
		);
		call.end();
	});
}
