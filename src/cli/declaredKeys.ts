/** Key sets (JWKS) in files that Gateways name, checked on the user's machine as control checks them. */
import { EMPTY_KEY_SET, type KeySets, keySetName } from "../compile/envoy/keySet.js";
import { qualifiedName, type ResourceSet } from "../declare/resources/resource.js";
import { readDeclaredFile } from "../trust/tokens/declaredFile.js";
import { keySetFault, readKeySet } from "../trust/tokens/keySet.js";
import { publishedKeySet } from "../trust/tokens/publishedKeys.js";

export interface DeclaredKeys {
	/** The public keys for Envoy, by file that could be read here. */
	readonly keySets: KeySets;
	/** Problems of the keys, one line each, for the author of the declaration. */
	readonly warnings: readonly string[];
	/** Files that cannot be read here, a line each: they may be on another machine. */
	readonly unread: readonly string[];
}

/** Never rejects. */
export async function declaredKeys({ gateways }: ResourceSet): Promise<DeclaredKeys> {
	const issuers = gateways.flatMap(({ metadata, spec }) =>
		spec.tokens.flatMap(({ issuer, keys }) =>
			keys.from === "file"
				? [{ name: keySetName(keys), file: keys.file, whose: `Gateway ${qualifiedName(metadata)}: keys of ${issuer}` }]
				: [],
		),
	);
	const found = await Promise.all(
		issuers.map(async ({ name, file, whose }) => {
			const where = `${whose} in ${file}`;
			const bytes = await readDeclaredFile(file).catch(() => null);
			if (bytes === null) return { name, text: null, warnings: [], unread: [`${where} cannot be read here`] };
			const set = readKeySet(bytes);
			if (set === null) {
				const warning = `${where} are no key set (JWKS, RFC 7517), and no token of that issuer will hold`;
				return { name, text: EMPTY_KEY_SET, warnings: [warning], unread: [] };
			}
			const fault = keySetFault(set);
			const warnings =
				fault === null
					? set.leftOut.map((why) => `${where}: no token is verified by ${why}`)
					: [`${where}: ${fault}, and no token of that issuer will hold`];
			return { name, text: publishedKeySet(set), warnings, unread: [] };
		}),
	);
	return {
		keySets: Object.fromEntries(found.flatMap(({ name, text }) => (text === null ? [] : [[name, text] as const]))),
		warnings: found.flatMap(({ warnings }) => warnings),
		unread: found.flatMap(({ unread }) => unread),
	};
}
