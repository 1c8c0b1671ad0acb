/**
 * Finds the rules that could match a request: it opens only the matching nodes of the tree (ruleTree.ts). Each found
 * rule is then matched in full, so a node may have too many rules but never too few.
 */

import { finish, type Steps } from "../../../limits/slices.js";
import { type Texts, tokenTexts } from "../users/tokenTexts.js";
import type { AccessRequest } from "../verdict.js";
import { prefixHashes } from "./prefixHash.js";
import type { Rule } from "./rule.js";
import { type Below, type Files, type Key, PARTS_MAX, pathHeads, type RuleNode, treeSteps } from "./ruleTree.js";

/** Largest value of an Int32Array. */
const REQUESTS_MAX = 2 ** 31 - 1;

/** The parts of an index that take time to build. */
interface Made {
	readonly root: RuleNode;
	readonly longestPath: number;
	readonly longestPrincipal: number;
}

function* madeSteps(rules: readonly Rule[]): Steps<Made> {
	let longestPath = 0;
	let longestPrincipal = 0;
	for (const rule of rules) {
		for (const { length } of pathHeads(rule)) longestPath = Math.max(longestPath, length);
		for (const { length } of rule.principalPrefixes) longestPrincipal = Math.max(longestPrincipal, length);
		yield;
	}
	return { root: yield* treeSteps(rules), longestPath, longestPrincipal };
}

/** Reuses one buffer for the prefix hashes of the current request. */
export class RuleIndex {
	readonly #root: RuleNode;
	readonly #longestPath: number;
	readonly #longestPrincipal: number;
	readonly #paths = new Int32Array(PARTS_MAX);
	readonly #principals = new Int32Array(PARTS_MAX);
	/** One more than segments that templates are filed by: where the last of these ends. */
	readonly #slashes = new Int32Array(PARTS_MAX + 1);
	#pathCount = -1;
	#principalCount = -1;
	#slashCount = -1;
	/** The last request that each rule was tried on, by the rule's order. A user in many groups finds a rule in many files. */
	readonly #askedOf: Int32Array;
	#request = 0;

	/**
	 * @param rules in order
	 * @param requestsMax after which their numbers begin anew
	 */
	constructor(
		rules: readonly Rule[],
		private readonly requestsMax = REQUESTS_MAX,
		{ root, longestPath, longestPrincipal } = finish(madeSteps(rules)),
	) {
		this.#longestPath = longestPath;
		this.#longestPrincipal = longestPrincipal;
		this.#askedOf = new Int32Array((rules.at(-1)?.order ?? 0) + 1);
		this.#root = root;
	}

	/** Little by little. @param rules in order */
	static *steps(rules: readonly Rule[]): Steps<RuleIndex> {
		return new RuleIndex(rules, REQUESTS_MAX, yield* madeSteps(rules));
	}

	/** The first rule by its order that matches; null = none does. Each is asked once at most. */
	first(request: AccessRequest): Rule | null {
		this.#pathCount = -1;
		this.#principalCount = -1;
		this.#slashCount = -1;
		if (this.#request === this.requestsMax) this.#askedOf.fill(0);
		this.#request = (this.#request % this.requestsMax) + 1;
		return this.#first(this.#root, request, null);
	}

	#first({ rules, below }: RuleNode, request: AccessRequest, found: Rule | null): Rule | null {
		let best = found;
		for (const rule of rules) {
			if (best !== null && rule.order >= best.order) break;
			if (this.#askedOf[rule.order] === this.#request) continue;
			this.#askedOf[rule.order] = this.#request;
			if (rule.matches(request)) {
				best = rule;
				break;
			}
		}
		return below === null ? best : this.#filed(below, request, best);
	}

	#filed(below: Below, request: AccessRequest, found: Rule | null): Rule | null {
		let best = found;
		const { principal, token } = request;
		if (below.principal !== null && principal !== null) {
			best = this.#open(below.principal, principal, request, best);
			if (below.principalDepths !== 0) {
				if (this.#principalCount < 0) {
					this.#principalCount = prefixHashes(principal, this.#longestPrincipal, this.#principals);
				}
				const { principal: files, principalDepths: depths } = below;
				best = this.#openHashes(files, depths, this.#principals, this.#principalCount, request, best);
			}
		}
		if (below.path !== null) {
			if (this.#pathCount < 0) this.#pathCount = prefixHashes(request.path, this.#longestPath, this.#paths);
			best = this.#openHashes(below.path, below.pathDepths, this.#paths, this.#pathCount, request, best);
		}
		if (below.segments.length > 0) {
			for (const { at, files } of below.segments) {
				const segment = this.#segment(request.path, at);
				if (segment !== null) best = this.#open(files, segment, request, best);
			}
		}
		if (token === null) return best;
		if (below.user !== null && token.subject !== null) best = this.#open(below.user, token.subject, request, best);
		if (below.tenant === null && below.group === null && below.purpose === null && below.claims.length === 0)
			return best;
		const texts = tokenTexts(token);
		if (below.tenant !== null) best = this.#openAll(below.tenant, texts.tenants, request, best);
		if (below.group !== null) best = this.#openAll(below.group, texts.groups, request, best);
		if (below.purpose !== null) best = this.#openAll(below.purpose, texts.purposes, request, best);
		for (const { claim, path, files } of below.claims) {
			best = this.#openAll(files, texts.claim(claim, path), request, best);
		}
		return best;
	}

	/** The segment after a slash, up to the next one; null = the path has fewer. Creates no string per segment. */
	#segment(path: string, at: number): string | null {
		const slashes = this.#slashes;
		if (this.#slashCount < 0) {
			this.#slashCount = 0;
			for (let next = path.indexOf("/"); next !== -1; next = path.indexOf("/", next + 1)) {
				slashes[this.#slashCount++] = next;
				if (this.#slashCount === slashes.length) break;
			}
		}
		if (at >= this.#slashCount) return null;
		return path.slice((slashes[at] ?? 0) + 1, at + 1 < this.#slashCount ? slashes[at + 1] : path.length);
	}

	#open(files: Files, key: Key, request: AccessRequest, best: Rule | null): Rule | null {
		const node = files.get(key);
		return node === undefined ? best : this.#first(node, request, best);
	}

	/** Iterates the smaller side: each file of a long list may hold further files for another long list. */
	#openAll(files: Files, { list, set }: Texts, request: AccessRequest, found: Rule | null): Rule | null {
		let best = found;
		if (set !== null && files.size < set.size) {
			for (const [key, node] of files) if (set.has(String(key))) best = this.#first(node, request, best);
			return best;
		}
		for (const key of list) best = this.#open(files, key, request, best);
		return best;
	}

	#openHashes(
		files: Files,
		depths: number,
		hashes: Int32Array,
		count: number,
		request: AccessRequest,
		found: Rule | null,
	): Rule | null {
		let best = found;
		for (let at = 0; at < count; at++) {
			if ((depths & (1 << at)) !== 0) best = this.#open(files, hashes[at] ?? 0, request, best);
		}
		return best;
	}
}
