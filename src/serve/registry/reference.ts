/** How a model of a store is named: NAME:VERSION, NAME@ALIAS or NAME@sha256:DIGEST. Pure. */
import { WeirError } from "../../error.js";
import { isDigest } from "./manifest.js";

/** Names, versions and aliases: an OCI tag (distribution-spec), so that every OCI tool takes them. */
const TAG = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/;

export type ModelReference =
	| { readonly name: string; readonly by: "version"; readonly version: string }
	| { readonly name: string; readonly by: "alias"; readonly alias: string }
	| { readonly name: string; readonly by: "digest"; readonly digest: string };

/** @throws WeirError `invalid-argument` */
export function parseReference(text: string): ModelReference {
	const at = text.search(/[@:]/);
	const name = requireTag("model", at < 0 ? text : text.slice(0, at));
	const rest = at < 0 ? "" : text.slice(at + 1);
	if (at >= 0 && text[at] === "@" && isDigest(rest)) return { name, by: "digest", digest: rest };
	if (at < 0 || rest === "")
		throw new WeirError(
			"invalid-argument",
			`'${text}' names no version`,
			`write ${name}:VERSION, ${name}@ALIAS or ${name}@sha256:…`,
		);
	return text[at] === "@"
		? { name, by: "alias", alias: requireTag("alias", rest) }
		: { name, by: "version", version: requireTag("version", rest) };
}

/** @throws WeirError `invalid-argument` */
export function requireTag(what: "model" | "version" | "alias", text: string): string {
	if (TAG.test(text)) return text;
	throw new WeirError(
		"invalid-argument",
		`'${text.slice(0, 200)}' is no name of a ${what}`,
		"letters, digits, '.', '_' and '-', at most 128, beginning with a letter, a digit or '_'",
	);
}

/** The first 12 digits, for people. */
export const shortDigest = (digest: string): string => digest.slice("sha256:".length, "sha256:".length + 12);
