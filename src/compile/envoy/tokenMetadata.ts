/** Dynamic metadata of a verified token from jwt_authn, and RBAC matchers on it. */

import type { TokenIssuer } from "../../declare/resources/resource.js";
import { claimPath, isSpaceDelimited } from "../access/users/claim.js";
import { at, type CelTree, field, ident } from "./celTree.js";

/** Envoy's name for it, independent of our filter name. */
export const TOKENS_METADATA = "envoy.filters.http.jwt_authn";

/**
 * Keys by the issuer's name, not by its index: listener and routes are updated separately, and a key must never mean two
 * issuers.
 */
export const payloadKey = ({ issuer }: TokenIssuer): string => issuer;
export const headerKey = ({ issuer }: TokenIssuer): string => `${issuer}#header`;

/** Provider fields that write the metadata. Not normalize_payload_in_metadata, which copies all claims again. */
export const intoMetadata = (issuer: TokenIssuer): object => ({
	payload_in_metadata: payloadKey(issuer),
	header_in_metadata: headerKey(issuer),
});

/** An RBAC Principal. */
export type PrincipalRule = object;

export const allOf = (ids: readonly PrincipalRule[]): PrincipalRule =>
	ids.length === 1 && ids[0] !== undefined ? ids[0] : { and_ids: { ids } };
export const someOf = (ids: readonly PrincipalRule[]): PrincipalRule => {
	if (ids.length === 0) return NO_PRINCIPAL;
	return ids.length === 1 && ids[0] !== undefined ? ids[0] : { or_ids: { ids } };
};
export const not = (id: PrincipalRule): PrincipalRule => ({ not_id: id });
export const ANY_PRINCIPAL: PrincipalRule = { any: true };
export const NO_PRINCIPAL: PrincipalRule = not(ANY_PRINCIPAL);

const metadataMatches = (path: readonly string[], value: object): PrincipalRule => ({
	sourced_metadata: {
		metadata_matcher: { filter: TOKENS_METADATA, path: path.map((key) => ({ key })), value },
		metadata_source: "DYNAMIC",
	},
});

/** A token of this issuer was verified. */
export const verified = (issuer: TokenIssuer): PrincipalRule =>
	metadataMatches([payloadKey(issuer), "iss"], { present_match: true });

export const hasClaim = (issuer: TokenIssuer, name: string): PrincipalRule =>
	metadataMatches([payloadKey(issuer), name], { present_match: true });

/** The claim is one of these texts, contains it as a word, or is a list that contains it: like claimTexts. */
export function claimIs(issuer: TokenIssuer, claim: string, values: readonly string[]): PrincipalRule {
	const path = claimPath(claim);
	const texts = isSpaceDelimited(path) ? values.flatMap(amongWords) : values.map((exact) => ({ exact }));
	const listed = values.map((exact) => ({ list_match: { one_of: { string_match: { exact } } } }));
	const matchers = [...texts.map((text) => ({ string_match: text })), ...listed];
	// Envoy rejects an or_match with one item.
	const value = matchers.length === 1 ? listed[0] : { or_match: { value_matchers: matchers } };
	return metadataMatches([payloadKey(issuer), ...path], value ?? {});
}

/** Matchers of a text that contains this word; an empty word or one with a space never matches. */
const amongWords = (word: string): readonly object[] =>
	word === "" || word.includes(" ")
		? []
		: [{ exact: word }, { prefix: `${word} ` }, { suffix: ` ${word}` }, { contains: ` ${word} ` }];

/** The claim equals this text. */
export const textIs = (issuer: TokenIssuer, claim: string, exact: string): PrincipalRule =>
	metadataMatches([payloadKey(issuer), claim], { string_match: { exact } });

/** The claim, or member of the JOSE header, is a text that the whole pattern matches. */
export const claimFits = (issuer: TokenIssuer, claim: string, regex: string): PrincipalRule =>
	metadataMatches([payloadKey(issuer), claim], { string_match: { safe_regex: { regex } } });
export const headerFits = (issuer: TokenIssuer, member: string, regex: string): PrincipalRule =>
	metadataMatches([headerKey(issuer), member], { string_match: { safe_regex: { regex } } });

/** The member of the JOSE header is one of these texts. */
export function headerIs(issuer: TokenIssuer, member: string, values: readonly string[]): PrincipalRule {
	const matchers = values.map((exact) => ({ string_match: { exact } }));
	// Envoy rejects an or_match with one item.
	const value = matchers.length === 1 ? matchers[0] : { or_match: { value_matchers: matchers } };
	return metadataMatches([headerKey(issuer), member], value ?? {});
}
export const hasHeader = (issuer: TokenIssuer, member: string): PrincipalRule =>
	metadataMatches([headerKey(issuer), member], { present_match: true });

/** All claims, for a condition. */
export const claimsTree = (issuer: TokenIssuer): CelTree =>
	at(at(field(ident("metadata"), "filter_metadata"), TOKENS_METADATA), payloadKey(issuer));
