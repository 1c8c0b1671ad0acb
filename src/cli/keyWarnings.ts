/** Key sets (JWKS) in files that Gateways name, judged where the declaration is: the words for whoever writes it. */
import { qualifiedName, type ResourceSet } from "../resources/resource.js";
import { readDeclaredFile } from "../tokens/declaredFile.js";
import { keySetFault, readKeySet } from "../tokens/keySet.js";

/**
 * What is wrong with the keys of each issuer, a line each. A file that cannot be read here is passed over: it may well
 * be on another machine.
 */
export async function keyWarnings({ gateways }: ResourceSet): Promise<readonly string[]> {
	const lines = gateways.flatMap(({ metadata, spec }) =>
		spec.tokens.map(async ({ issuer, keys }): Promise<readonly string[]> => {
			if (keys.from !== "file") return [];
			const bytes = await readDeclaredFile(keys.file).catch(() => null);
			if (bytes === null) return [];
			const where = `Gateway ${qualifiedName(metadata)}: keys of ${issuer} in ${keys.file}`;
			const set = readKeySet(bytes);
			if (set === null) return [`${where} are no key set (JWKS, RFC 7517), and no token of that issuer will hold`];
			const fault = keySetFault(set);
			if (fault !== null) return [`${where}: ${fault}, and no token of that issuer will hold`];
			return set.leftOut.map((why) => `${where}: no token is verified by ${why}`);
		}),
	);
	return (await Promise.all(lines)).flat();
}
